#!/bin/sh
# Runs the specs on each Lua, with the module that was built for it. Several spec files run in parallel.
# Prints the results in the order of the files: one line for a file that passes, the whole output for
# one that fails. The last line is the sum: "N passed, N failed".
#   spec/support/run.sh LUA...
# Environment variables:
#   BUSTED       options and files for a single run of busted, instead of one run for each spec file
#   JOBS         number of parallel runs; default: the number of processors
#   WRAPPER      command that runs the Lua interpreter, such as valgrind
#   INTERPRETER  Lua interpreter to use instead of the command LUA
#   VARIANT      suffix of the build folder: build/LUA$VARIANT
set -u

# Runs job number $2: the spec file $4 on the Lua $3, or what BUSTED says if $4 is ".". Writes its
# output to files in the folder $1, and prints the number when it has ended.
job() {
  dir=$1 number=$2 lua=$3 file=$4
  [ "$file" != . ] || file=
  module=$PWD/build/$lua${VARIANT:-}/podero.so
  start=$(date +%s)
  # Lua prefers the variables with a version in their names to LUA_CPATH.
  env -u LUA_CPATH_5_2 -u LUA_CPATH_5_3 -u LUA_CPATH_5_4 -u LUA_CPATH_5_5 LUA_CPATH="${module%/*}/?.so;;" \
    ${WRAPPER:-} "${INTERPRETER:-$lua}" "$busted" -o plainTerminal ${BUSTED:-} $file >"$dir/$number.out" 2>&1 </dev/null ||
    echo "exit code $?" >>"$dir/$number.out"
  echo $(($(date +%s) - start)) >"$dir/$number.seconds"
  echo "$number"
}

# Prints the result of job $2, the spec file $4 on the Lua $3, and appends its counts to $1/counts.
report() {
  dir=$1 out=$1/$2.out lua=$3 file=$4
  counts=$(sed -n 's/^\([0-9]*\) success[a-z]* \/ \([0-9]*\) failure[a-z]* \/ \([0-9]*\) error[a-z]* \/ \([0-9]*\) pending.*/\1 \2 \3 \4/p' "$out" | tail -n 1)
  set -- ${counts:-0 1 0 0} # without counts, busted has crashed: one failure
  passed=$1 failed=$(($2 + $3)) skipped=$4
  # WRAPPER may fail, such as valgrind after a leak, although all specs pass.
  if [ "$failed" -eq 0 ] && grep -q '^exit code ' "$out"; then failed=1; fi
  echo "$passed $failed $skipped" >>"$dir/counts"
  printf '%s %s: %d passed, %d failed, %d skipped, %d s\n' "$lua" "$file" $passed $failed $skipped "$(cat "${out%.out}.seconds")"
  # Output of two lines is busted's dots and its counts, which need not be repeated.
  if [ "$failed" -gt 0 ] || [ "$(grep -c . "$out")" -gt 2 ]; then cat "$out"; fi
}

busted=$(command -v busted) || { echo "busted is missing" >&2; exit 1; }
if [ "${1:-}" = --job ]; then
  shift
  job "$@"
  exit
fi

# Makes a locale with a decimal comma, and one in which "I" is not the capital of "i", for specs that
# check that the locale has no effect.
locales=$PWD/build/locale
for name in de_DE tr_TR; do
  [ ! -d "$locales/$name.UTF-8" ] || continue
  mkdir -p "$locales"
  localedef --no-archive -i $name -f UTF-8 "$locales/$name.UTF-8" || true
done
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

xargs -P "${JOBS:-$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}" -L 1 "$0" --job "$dir" <"$dir/jobs" | {
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
    if (NR < jobs) failed += jobs - NR # a job that never ran counts as a failure
    printf "%d passed, %d failed%s\n", passed, failed, (skipped > 0 ? ", " skipped " skipped" : "")
    if (passed + failed + skipped == 0) print "no spec matches"
    exit (failed > 0 || passed == 0)
  }' "$dir/counts"
