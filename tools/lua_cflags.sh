#!/bin/sh
# Prints the compiler flags for the headers of a Lua. If it finds none, prints one line about what is missing to
# standard error, and fails.
#   tools/lua_cflags.sh LUA VERSION
# LUA: the name or path of the interpreter. VERSION: its version, such as 5.4. For a path, this looks first beside the
# interpreter (/opt/lua/include for /opt/lua/bin/lua), then asks pkg-config; for a name, the other way round.
lua=$1 version=$2
plain=$(echo "$version" | tr -d .)
minor=${version#*.}
case "${lua##*/}" in
*luajit*) names=luajit ;;
*) names="${lua##*/} lua$version lua-$version lua$plain lua" ;;
esac

ask_pkg_config() {
  for name in $names; do
    # A name without a version may belong to any Lua.
    case "$(${PKG_CONFIG:-pkg-config} --modversion "$name" 2>/dev/null)" in
    "$version" | "$version".* | 2.*) ${PKG_CONFIG:-pkg-config} --cflags "$name" && exit ;;
    esac
  done
}

look_beside() {
  program=$(command -v "$lua") || return 0
  program=$(readlink -f "$program" 2>/dev/null || echo "$program")
  prefix=${program%/*/*}
  for folder in "$prefix"/include/luajit-2.* "$prefix/include/lua$version" "$prefix/include/lua-$version" \
    "$prefix/include/lua$plain" "$prefix/include"; do
    grep -Eqs "LUA_VERSION_(NUM[[:space:]]+50$minor|MINOR_N[[:space:]]+$minor)\\>" "$folder/lua.h" || continue
    echo "-I$folder" && exit
  done
}

case "$lua" in
*/*) look_beside; ask_pkg_config ;;
*) ask_pkg_config; look_beside ;;
esac

case "$names$version" in
luajit*) debian="libluajit2-5.1-dev or libluajit-5.1-dev" ;;
*5.1) debian=liblua5.1-0-dev ;;
*) debian=liblua$version-dev ;;
esac
if ! command -v "${PKG_CONFIG:-pkg-config}" >/dev/null; then debian="pkg-config, $debian"; fi
echo "the headers of $lua ($version) are missing: install $debian (Debian's name), or give LUA_INCDIR" >&2
exit 1
