#!/bin/sh
# Writes the scripts in packaging/completions/, with the command of this checkout.
#   LUA=lua5.4 tools/completions.sh FOLDER     FOLDER: the modules built for that Lua, such as build/lua5.4
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$folder/podero"
ln -s "$PWD/src/command" "$folder/podero/command"
case $1 in /*) modules=$1 ;; *) modules=$PWD/$1 ;; esac
run() {
  "$LUA" -e "package.path, package.cpath = '$folder/?.lua;' .. package.path, '$modules/?.so;' .. package.cpath" \
    src/command/podero completion "$1"
}
run bash >packaging/completions/podero.bash
run zsh >packaging/completions/_podero
run fish >packaging/completions/podero.fish
