#!/bin/sh
# Builds this checkout for another architecture with Debian's cross compiler. Then runs a smoke test and the specs of
# the JSON reader and of the decoder, with qemu-user. Must be run as root.
#   tools/foreign.sh s390x|arm64|armhf
# Each architecture has a separate chroot, because libraries for several architectures cannot be installed together. The
# chroots are kept in build/debian-bookworm.ARCHITECTURE for further runs.
# Environment variables: as for tools/chroot.sh.
set -euf
umask 022

case "${1:-}" in
--setup | --test) architecture=$2 ;;
*) architecture=${1:-} ;;
esac
case "$architecture" in
s390x) triplet=s390x-linux-gnu compiler=gcc-s390x-linux-gnu qemu=qemu-s390x ;;
arm64) triplet=aarch64-linux-gnu compiler=gcc-aarch64-linux-gnu qemu=qemu-aarch64 ;;
armhf) triplet=arm-linux-gnueabihf compiler=gcc-arm-linux-gnueabihf qemu=qemu-arm ;;
*) echo "usage: $0 s390x|arm64|armhf" >&2; exit 2 ;;
esac

# ---- in the chroot ----

# Unpacks the packages of busted instead of installing them, since they depend on packages of the chroot's own
# architecture.
install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  dpkg --add-architecture "$architecture"
  apt-get update -q
  set -- libc6-dev liblua5.4-dev libcurl4-openssl-dev lua5.4 lua-cjson lua-term lua-system lua-filesystem lua-socket
  apt-get install -y -q --no-install-recommends make pkg-config "$compiler" $(printf "%s:$architecture " "$@")
  cd /tmp
  apt-get download -q lua-busted lua-luassert lua-say lua-penlight lua-cliargs lua-mediator
  find . -name '*.deb' -exec dpkg-deb -x {} / \;
}

build_and_test() {
  cd /srv/podero
  export PKG_CONFIG_LIBDIR="/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig"
  make -s -j"$(nproc)" LUA=lua5.4 CC="$triplet-gcc" WERROR=-Werror all decoder
  packaging/debian/smoke-test lua5.4 build/lua5.4
  # SPARSE=25: runs only one in 25 of thousands of similar cases, since qemu is ten times slower.
  SPARSE=25 LUA_CPATH='build/lua5.4/?.so;;' lua5.4 "$(command -v busted)" -o plainTerminal \
    spec/json_spec.lua spec/decoder_spec.lua
}

# ---- outside ----

# Has the kernel run programs of the architecture with qemu. Where systemd runs, the package qemu-user-static does so.
register_qemu() {
  formats=/proc/sys/fs/binfmt_misc
  [ -e $formats/register ] || mount -t binfmt_misc binfmt_misc $formats
  [ -e $formats/$qemu ] || cat /usr/lib/binfmt.d/$qemu.conf >$formats/register
}

make_chroot() {
  exec 9>>"$root.lock"
  flock 9
  if [ -e "$root/foreign" ]; then return; fi
  tools/chroot.sh make bookworm "$base"
  rm -rf --one-file-system "$root"
  cp -a "$base" "$root"
  cp tools/foreign.sh "$root/srv"
  tools/chroot.sh run "$root" /srv/foreign.sh --setup "$architecture" >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; exit 1; }
  : >"$root/foreign"
}

case "$1" in
--setup) install_packages; exit ;;
--test) build_and_test; exit ;;
esac

cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "only root can make and use chroots" >&2; exit 1; }
base=$PWD/build/debian-bookworm root=$PWD/build/debian-bookworm.$architecture
register_qemu
make_chroot
tools/chroot.sh copy "$root"
tools/chroot.sh run "$root" /srv/podero/tools/foreign.sh --test "$architecture"
