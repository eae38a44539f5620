#!/bin/sh
# Builds Debian packages from a copy of this tree, and checks them with lintian.
#   packaging/deb.sh FOLDER     FOLDER: where the packages go; anything that is there is removed
# The version is taken from src/version.h. Environment variables:
#   DEB_BUILD_OPTIONS   such as nocheck or parallel=N
#   SOURCE_DATE_EPOCH   time of all files; default: that of the last commit, or, without a repository, of src/version.h
set -eu
folder=$1
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
version=$(sed -n 's/^#define PODERO_VERSION "\(.*\)"$/\1/p' src/version.h)
maintainer=$(sed -n 's/^Maintainer: //p' packaging/debian/control)

# Lists the files of the tree: those in the repository, and new ones that it does not ignore. If there is no repository,
# lists all files but those in build/.
list_files() {
  if git ls-files --error-unmatch Makefile >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard
  else
    find . -path ./build -prune -o -path ./.git -prune -o '(' -type f -o -type l ')' -print
  fi | while read -r name; do
    if [ -e "$name" ]; then echo "${name#./}"; fi
  done
}

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y src/version.h)
fi

rm -rf --one-file-system "$folder"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
source=$folder/podero-$version
list_files | LC_ALL=C sort | tar --create --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
  --mtime="@$SOURCE_DATE_EPOCH" --transform "s,^,podero-$version/,S" --verbatim-files-from --files-from=- |
  gzip -9n >"$folder/podero_$version.orig.tar.gz"
tar -C "$folder" -xzf "$folder/podero_$version.orig.tar.gz"
cp -R packaging/debian "$source/debian"
cat >"$source/debian/changelog" <<END
podero ($version-1) unstable; urgency=medium

  * New version. /usr/share/doc/podero/changelog.gz says what has changed.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END

DEB_BUILD_OPTIONS=${DEB_BUILD_OPTIONS-parallel=$(nproc)}
log=$folder/build.log
# The environment is new, so that neither the variables of an outer make nor any others affect the build.
if ! (cd "$source" && env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LC_ALL=C.UTF-8 \
  DEB_BUILD_OPTIONS="$DEB_BUILD_OPTIONS" SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
  dpkg-buildpackage --no-sign --build=full) >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
rm -rf "$source"

# The package is not in Debian's archive, so its changelog closes no bug.
lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$folder"/*.changes
ls "$folder"/*.deb
