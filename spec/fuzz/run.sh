#!/bin/sh
# Runs fuzzers, each for FUZZ_SECONDS (600), as many in parallel as there are processors. They start
# with the inputs in spec/fuzz/corpus and those that earlier runs have collected in build/fuzz/corpus.
# Prints the number of inputs that each has tried. If one finds a fault, prints the end of its output;
# the input that causes the fault is kept in build/fuzz.
#   spec/fuzz/run.sh FOLDER-OF-PROGRAMS NAME...
set -u
if [ "${1:-}" = --one ]; then
  name=$2 log=build/fuzz/$2.log dictionary=spec/fuzz/$2.dict found=build/fuzz/corpus/$2
  mkdir -p "$found"
  words=
  if [ -e "$dictionary" ]; then words=-dict=$dictionary; fi
  # Memory that Lua's collector has not freed yet would be reported as a leak after each input.
  if [ -e "spec/fuzz/$name.lua" ]; then words="$words -detect_leaks=0"; fi
  export ASAN_OPTIONS=quarantine_size_mb=64
  if "$FUZZERS/$name" -max_total_time="${FUZZ_SECONDS:-600}" -max_len=1024 -timeout=20 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/$name-" $words "$found" "spec/fuzz/corpus/$name" \
    >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "fuzzing $name: $runs inputs in ${FUZZ_SECONDS:-600} s, nothing found"
  else
    echo "fuzzing $name: FOUND"
    grep -v '^#[0-9]' "$log" | tail -n 40
    exit 1
  fi
  exit
fi

FUZZERS=$1
export FUZZERS
shift
mkdir -p build/fuzz
printf '%s\n' "$@" | xargs -P "${JOBS:-$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}" -n 1 "$0" --one
