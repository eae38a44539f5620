#!/bin/sh
# Runs `make demo`, `make demo-nginx` and the specs in a chroot with another release of Debian, as root, on a copy of
# this checkout. Mounts and processes are private, so that none stay behind.
#   tools/debian.sh SUITE     SUITE: trixie, sid
# The chroot is kept in build/debian-SUITE for further runs, and made again if it is broken.
# Environment variables:
#   DEBIAN_MIRROR   URL of a mirror of Debian; default: that of the system's apt
#   LUAS, JOBS      as for make
#   BUSTED          options and files for busted: only these specs, and no demo
set -euf
umask 022

# ---- in the chroot, in namespaces of its own ----

wait_for() { # a text in a file
  for _ in $(seq 300); do
    if grep -qsF "$1" "$2"; then return 0; fi
    sleep 0.1
  done
  cat "$2" >&2
  echo "did not start" >&2
  return 1
}

# Starts the site, visits it, and interrupts it.
visit_site() {
  log=$(mktemp)
  setsid env --default-signal=INT make demo-nginx >"$log" 2>&1 &
  site=$!
  wait_for 'Press Ctrl-C' "$log"
  cat "$log"
  URL=$(sed -n 's/^roster *//p' "$log") lua5.4 -e 'local http = require "socket.http"
    local body, status = http.request(os.getenv "URL")
    assert(status == 200 and body:find("<table", 1, true), "the roster was answered with " .. tostring(status))'
  kill -INT "-$site"
  wait "$site" || true
  if find /proc -maxdepth 2 -name comm -exec grep -qx nginx {} + 2>/dev/null; then
    echo "nginx still runs" >&2
    return 1
  fi
  echo "the site was visited and has ended"
}

run_in_chroot() {
  cd /srv/podero
  if [ -z "${BUSTED:-}" ]; then
    make demo
    visit_site
  fi
  make packages-test
  make -s spec-modules
  make specs
}

# As the first process of a namespace, from outside of the chroot.
enter() {
  root=$1
  mount --bind "$root" "$root" # a mount point, so that specs can make namespaces in it
  cd "$root"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mkdir -m 1777 "$root/run/lock"
  env -i --default-signal=INT,QUIT HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
    ${no_proxy:+"no_proxy=$no_proxy"} ${LUAS:+"LUAS=$LUAS"} ${JOBS:+"JOBS=$JOBS"} ${BUSTED:+"BUSTED=$BUSTED"} \
    chroot "$root" /srv/podero/tools/debian.sh --in-chroot
}

# ---- outside ----

# The system's mirror of Debian.
find_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null |
    head -n 1
}

is_usable() {
  [ -e "$1/complete" ] && [ -z "$(chroot "$1" dpkg --audit 2>&1)" ]
}

make_chroot() { # SUITE FOLDER
  mirror=${DEBIAN_MIRROR:-$(find_mirror)}
  [ -n "$mirror" ] || { echo "apt has no mirror of Debian, or no list of it yet: set DEBIAN_MIRROR" >&2; exit 1; }
  rm -rf --one-file-system "$2" "$2.new"
  echo "making a chroot with Debian $1 from $mirror"
  debootstrap --variant=minbase --include=make,ca-certificates "$1" "$2.new" "$mirror" >"$2.log" 2>&1 ||
    { tail -n 20 "$2.log" "$2.new/debootstrap/debootstrap.log" >&2; exit 1; }
  : >"$2.new/complete"
  mv "$2.new" "$2"
}

# What apt in the chroot needs to use the mirror as the system does.
copy_apt_settings() {
  cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
  apt-config dump Acquire::http::Proxy Acquire::https::Proxy Acquire::Check-Valid-Until Acquire::Check-Date |
    grep -v '""' >"$1/etc/apt/apt.conf.d/50system" || true
}

copy_checkout() {
  rm -rf --one-file-system "$1/srv/podero"
  mkdir -p "$1/srv/podero"
  tar -c --exclude=./build --exclude=./.git . | tar -x --no-same-owner -C "$1/srv/podero"
  chmod -R a+rX "$1/srv/podero" # the workers of nginx run as another user
}

case "${1:-}" in
--in-chroot) run_in_chroot; exit ;;
--enter) enter "$2"; exit ;;
trixie | sid) suite=$1 ;;
*) echo "usage: $0 trixie|sid" >&2; exit 2 ;;
esac

cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "a chroot can only be made by root" >&2; exit 1; }
mkdir -p build
root=$PWD/build/debian-$suite
exec 9>>"$root.lock"
flock -n 9 || { echo "another run uses $root" >&2; exit 1; }
is_usable "$root" || make_chroot "$suite" "$root"
copy_apt_settings "$root"
copy_checkout "$root"
unshare --mount --pid --fork --kill-child tools/debian.sh --enter "$root" &
namespace=$!
# unshare itself ignores some of these. Everything in the namespace ends with it.
for signal in HUP INT TERM; do trap "kill -KILL $namespace; trap - $signal; kill -$signal \$\$" $signal; done
wait "$namespace"
