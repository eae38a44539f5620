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

# ---- outside ----

copy_checkout() {
  rm -rf --one-file-system "$1/srv/podero"
  mkdir -p "$1/srv/podero"
  tar -c --exclude=./build --exclude=./.git . | tar -x --no-same-owner -C "$1/srv/podero"
  chmod -R a+rX "$1/srv/podero" # the workers of nginx run as another user
}

case "${1:-}" in
--in-chroot) run_in_chroot; exit ;;
trixie | sid) suite=$1 ;;
*) echo "usage: $0 trixie|sid" >&2; exit 2 ;;
esac

cd "$(dirname "$0")/.."
mkdir -p build
root=$PWD/build/debian-$suite
exec 9>>"$root.run.lock"
flock -n 9 || { echo "another run uses $root" >&2; exit 1; }
tools/chroot.sh make "$suite" "$root"
copy_checkout "$root"
exec tools/chroot.sh run "$root" env ${LUAS:+"LUAS=$LUAS"} ${JOBS:+"JOBS=$JOBS"} ${BUSTED:+"BUSTED=$BUSTED"} \
  /srv/podero/tools/debian.sh --in-chroot
