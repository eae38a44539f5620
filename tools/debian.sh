#!/bin/sh
# Runs `make demo`, `make demo-nginx` and the specs on a copy of this checkout, in a chroot with another release of
# Debian. Must be run as root.
#   tools/debian.sh trixie|sid
# The chroot is kept in build/debian-SUITE for further runs. If it is broken, it is made again.
# Environment variables:
#   DEBIAN_MIRROR   as for tools/chroot.sh
#   LUAS, JOBS      as for make
#   BUSTED          options and files for busted: runs only these specs, and no demo
set -euf
umask 022

# ---- in the chroot ----

# Waits up to 30 seconds until a file contains a text.
wait_for() { # TEXT FILE
  for _ in $(seq 300); do
    if grep -qsF "$1" "$2"; then return 0; fi
    sleep 0.1
  done
  cat "$2" >&2
  echo "the site did not start" >&2
  return 1
}

# Starts the site of examples/nginx, requests a page, and ends the site as Ctrl-C does. Fails if an nginx is left.
visit_site() {
  log=$(mktemp)
  setsid env --default-signal=INT make demo-nginx >"$log" 2>&1 &
  site=$!
  wait_for 'Press Ctrl-C' "$log"
  cat "$log"
  URL=$(sed -n 's/^roster *//p' "$log") lua5.4 -e 'local http = require "socket.http"
    local body, status = http.request(os.getenv "URL")
    assert(status == 200 and body:find("<table", 1, true), "the roster has status " .. tostring(status))'
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
tools/chroot.sh copy "$root"
exec tools/chroot.sh run "$root" env ${LUAS:+"LUAS=$LUAS"} ${JOBS:+"JOBS=$JOBS"} ${BUSTED:+"BUSTED=$BUSTED"} \
  /srv/podero/tools/debian.sh --in-chroot
