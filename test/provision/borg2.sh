#!/bin/sh
# Makes a virtual environment with borg 2, of the pinned versions: test/provision/borg2.sh FOLDER
# With --check before the folder it only looks: exit 0 if all is there. Wants no rights, and writes to the folder, to
# FOLDER.lock beside it and to pip's cache.
set -eu
recipe=$(dirname "$0")
mode=make
if [ "$1" = --check ]; then
  mode=check
  shift
fi
folder=$1
stamp=$(cat "$recipe/borg2.sh" "$recipe/borg2.txt" "$recipe/borg2-build.txt" | sha256sum)

# Of this recipe, built to the end, and not broken since by another Python or a library that is gone.
is_complete() {
  [ -f "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$stamp" ] &&
    "$folder/bin/python" -I -c 'import borg.crypto.low_level, borg.compress, borg.platform' 2>/dev/null
}

if [ "$mode" = check ]; then
  is_complete
  exit
fi

mkdir -p "$(dirname "$folder")"
exec 9>"$folder.lock"
flock --nonblock 9 || { echo "Somebody makes $folder already; this waits." && flock 9; }
if is_complete; then exit 0; fi

echo "Making borg 2 in $folder; it is compiled, which takes a minute."
rm -rf "$folder"
# By its path: an environment of another python3 that comes first on the PATH would lack the headers of python3-dev.
/usr/bin/python3 -I -m venv "$folder"
install() { "$folder/bin/python" -I -m pip install --quiet --disable-pip-version-check --require-hashes "$@"; }
install -r "$recipe/borg2-build.txt"
# On all cores and without debugging information it takes a third of the time.
printf '[build_ext]\nparallel = %s\n' "$(nproc)" >"$folder/build.cfg"
export DIST_EXTRA_CONFIG="$folder/build.cfg" CFLAGS=-g0
install --no-build-isolation -r "$recipe/borg2.txt"
echo "$stamp" >"$folder/complete"
