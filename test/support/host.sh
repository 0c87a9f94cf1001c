#!/bin/bash
# The first process of a host of the tests (host.ts), in namespaces of its own: host.sh NAME FOLDER [FROM TO]...
# Its root is the machine's, with every write going to memory (an overlay), without the machine's own configuration of
# Sluice, homes, sockets and temporary files, and with FROM shown at TO. It ends when its standard input does, and the
# kernel then ends every process of the host and takes its mounts and its network away: nothing can be left behind.
set -euo pipefail
umask 022
read -r outside _ </proc/self/stat # our number outside: this is still the machine's /proc
name=$1 folder=$2
shift 2

mount -t tmpfs -o mode=0755 tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
cd "$folder/root"
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
for place in root:711 home:755 srv:755 run:755 tmp:1777 var/tmp:1777; do
  mkdir -p "${place%:*}"
  mount -t tmpfs -o "mode=${place#*:}" tmpfs "${place%:*}"
done
rm -rf "$folder/root/etc/sluice" "$folder/root/var/lib/sluice"

while [ $# -gt 0 ]; do
  mkdir -p ".$(dirname "$2")"
  if [ -d "$1" ]; then mkdir -p ".$2"; else touch ".$2"; fi
  mount --bind "$1" ".$2"
  shift 2
done

mkdir .machine
pivot_root . .machine
umount -l /.machine
rmdir /.machine
hostname "$name"
ip link set lo up
trap '' HUP INT TERM
echo "$outside"
while read -r _; do :; done
