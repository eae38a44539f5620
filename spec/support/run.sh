#!/bin/sh
# Runs the specs on each Lua, with the module built for it: as many spec files at a time as there are
# processors. A file's output is kept whole and printed in order, and as one line where all is well;
# the last line counts for all: "N passed, N failed".
#   spec/support/run.sh LUA...
# BUSTED: options and files for busted, all in one go, instead of every spec file by itself.
# JOBS: how many at a time. WRAPPER: a command to run the Luas under. INTERPRETER: in a Lua's place.
# VARIANT: of the build.
set -u

# Runs job number $2, the spec file $4 (or what BUSTED says) on the Lua $3, with its files in $1.
job() {
  dir=$1 number=$2 lua=$3 file=$4
  [ "$file" != . ] || file=
  module=$PWD/build/$lua${VARIANT:-}/podero.so
  start=$(date +%s)
  # The variables with a version in their names would win.
  env -u LUA_CPATH_5_2 -u LUA_CPATH_5_3 -u LUA_CPATH_5_4 LUA_CPATH="${module%/*}/?.so;;" \
    ${WRAPPER:-} "${INTERPRETER:-$lua}" "$busted" -o plainTerminal ${BUSTED:-} $file >"$dir/$number.out" 2>&1 </dev/null ||
    echo "exit code $?" >>"$dir/$number.out"
  echo $(($(date +%s) - start)) >"$dir/$number.seconds"
  echo "$number"
}

# Prints what the job $2 on the Lua $3 has found, and appends what it counts to $1/counts.
report() {
  dir=$1 out=$1/$2.out lua=$3 file=$4
  counts=$(sed -n 's/^\([0-9]*\) success[a-z]* \/ \([0-9]*\) failure[a-z]* \/ \([0-9]*\) error[a-z]* \/ \([0-9]*\) pending.*/\1 \2 \3 \4/p' "$out" | tail -n 1)
  set -- ${counts:-0 1 0 0} # without a count, it died
  passed=$1 failed=$(($2 + $3)) skipped=$4
  # A checker around the Lua may find fault where the specs do not.
  if [ "$failed" -eq 0 ] && grep -q '^exit code ' "$out"; then failed=1; fi
  echo "$passed $failed $skipped" >>"$dir/counts"
  printf '%s %s: %d passed, %d failed, %d skipped, %d s\n' "$lua" "$file" $passed $failed $skipped "$(cat "${out%.out}.seconds")"
  # The dots and the count say nothing more.
  if [ "$failed" -gt 0 ] || [ "$(grep -c . "$out")" -gt 2 ]; then cat "$out"; fi
}

busted=$(command -v busted) || { echo "busted is missing" >&2; exit 1; }
if [ "${1:-}" = --job ]; then
  shift
  job "$@"
  exit
fi

# A locale with a decimal comma, for the specs that must not care for it.
locales=$PWD/build/locale
if [ ! -d "$locales/de_DE.UTF-8" ]; then
  mkdir -p "$locales"
  localedef --no-archive -i de_DE -f UTF-8 "$locales/de_DE.UTF-8" || true
fi
export LOCPATH="$locales"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
if [ -n "${BUSTED:-}" ]; then files=.; else files=$(find spec -name '*_spec.lua' -o -name '*_selftest.lua' | sort); fi
number=0
for lua in "$@"; do
  for file in $files; do
    number=$((number + 1))
    echo "$number $lua $file"
  done
done >"$dir/jobs"

xargs -P "${JOBS:-$(nproc)}" -L 1 "$0" --job "$dir" <"$dir/jobs" | {
  exec 3<"$dir/jobs"
  read -r next lua file <&3
  while read -r number; do
    : >"$dir/$number.done"
    while [ -e "$dir/$next.done" ]; do
      report "$dir" "$next" "$lua" "$file"
      read -r next lua file <&3 || break
    done
  done
}

awk -v jobs="$number" '
  { passed += $1; failed += $2; skipped += $3 }
  END {
    if (NR < jobs) failed += jobs - NR # never ran
    printf "%d passed, %d failed%s\n", passed, failed, (skipped > 0 ? ", " skipped " skipped" : "")
    exit (failed > 0 || passed == 0)
  }' "$dir/counts"
