#!/bin/sh
# Prints the compiler's flags for the headers of a Lua, or else one line that says what is missing, and fails.
#   tools/lua_cflags.sh LUA VERSION
# LUA: the interpreter's name or path. VERSION: its version, such as 5.4. A path's headers are looked for beside the
# interpreter first (/opt/lua/bin/lua: /opt/lua/include), a name's with pkg-config first.
lua=$1 version=$2
plain=$(echo "$version" | tr -d .)
minor=${version#*.}
case "${lua##*/}" in
*luajit*) names=luajit ;;
*) names="${lua##*/} lua$version lua-$version lua$plain lua" ;;
esac

ask_pkg_config() {
  for name in $names; do
    # A name without a version may be any Lua's.
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
