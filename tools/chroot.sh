#!/bin/sh
# Makes and uses chroots with releases of Debian, for tests. Must be run as root.
#   tools/chroot.sh make SUITE FOLDER         makes a chroot in FOLDER with debootstrap, unless a usable one is there
#   tools/chroot.sh copy FOLDER               copies this checkout to /srv/podero in the chroot
#   tools/chroot.sh run FOLDER COMMAND...     runs a command in the chroot, with a minimal environment and the system's
#                                             network. Its mounts and processes are private, and end with it
# Environment variables:
#   DEBIAN_MIRROR   URL of a Debian mirror; default: the mirror that the system's apt uses
set -euf
umask 022

# Prints the URL of the Debian mirror that the system's apt uses.
find_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null |
    head -n 1
}

is_usable() {
  [ -e "$1/complete" ] && [ -z "$(chroot "$1" dpkg --audit 2>&1)" ]
}

make_chroot() { # SUITE FOLDER
  mkdir -p "$(dirname "$2")"
  exec 9>>"$2.lock"
  flock 9
  if is_usable "$2"; then return; fi
  mirror=${DEBIAN_MIRROR:-$(find_mirror)}
  [ -n "$mirror" ] || { echo "apt has no mirror of Debian, or no list of it yet: set DEBIAN_MIRROR" >&2; exit 1; }
  rm -rf --one-file-system "$2" "$2.new"
  echo "making a chroot with Debian $1 from $mirror" >&2
  debootstrap --variant=minbase --include=make,ca-certificates "$1" "$2.new" "$mirror" >"$2.log" 2>&1 9>&- ||
    { tail -n 20 "$2.log" "$2.new/debootstrap/debootstrap.log" >&2; exit 1; }
  : >"$2.new/complete"
  mv "$2.new" "$2"
}

# Copies the system's settings that apt in the chroot needs to reach the mirror.
copy_apt_settings() {
  cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
  apt-config dump Acquire::http::Proxy Acquire::https::Proxy Acquire::Check-Valid-Until Acquire::Check-Date |
    grep -v '""' >"$1/etc/apt/apt.conf.d/50system" || true
}

# Copies this checkout, without build/ and .git/, to /srv/podero in the chroot.
copy_checkout() { # FOLDER
  rm -rf --one-file-system "$1/srv/podero"
  mkdir -p "$1/srv/podero"
  tar -c -C "$(dirname "$0")/.." --exclude=./build --exclude=./.git . | tar -x --no-same-owner -C "$1/srv/podero"
  chmod -R a+rX "$1/srv/podero" # the workers of nginx run as another user
}

# Mounts what the chroot needs, and runs the command in it. Runs as the first process of new namespaces.
enter() { # FOLDER COMMAND...
  root=$1
  shift
  mount --bind "$root" "$root" # it must be a mount point, so that specs can make namespaces in it
  cd "$root"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mkdir -m 1777 "$root/run/lock"
  env -i --default-signal=INT,QUIT HOME=/root LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
    ${no_proxy:+"no_proxy=$no_proxy"} chroot "$root" "$@"
}

usage() {
  echo "usage: $0 make SUITE FOLDER, $0 copy FOLDER, or $0 run FOLDER COMMAND..." >&2
  exit 2
}

if [ "${1:-}" = --enter ]; then
  shift
  root=$(cd "$1" && pwd)
  shift
  enter "$root" "$@"
  exit
fi

[ "$(id -u)" -eq 0 ] || { echo "only root can make and use chroots" >&2; exit 1; }
case "${1:-}" in
make)
  [ $# -eq 3 ] || usage
  make_chroot "$2" "$3"
  copy_apt_settings "$3"
  ;;
copy)
  [ $# -eq 2 ] || usage
  copy_checkout "$2"
  ;;
run)
  [ $# -ge 3 ] || usage
  shift
  unshare --mount --pid --fork --kill-child "$0" --enter "$@" <&0 &
  namespace=$!
  # unshare ignores some of these signals. If it is killed, everything in the namespaces ends.
  for signal in HUP INT TERM; do trap "kill -KILL $namespace; trap - $signal; kill -$signal \$\$" $signal; done
  wait "$namespace"
  ;;
*) usage ;;
esac
