#!/bin/sh
# Installs Debian packages, as root: test/provision/install.sh PACKAGE...
# Debian starts the daemons of a package (nginx, sshd) as soon as it is installed, on ports of the machine. The tests
# start their own where they want them, so a policy forbids that meanwhile, unless the machine has a policy already.
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get -q update
apt-get -q install -y --no-install-recommends "$@"
