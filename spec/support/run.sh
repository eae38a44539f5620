#!/bin/sh
# Runs the specs on one Lua after the other, each with the module built for it; the last line counts
# for all of them: "N passed, N failed".
#   spec/support/run.sh LUA...         BUSTED: options and files for busted
set -u
busted=$(command -v busted) || { echo "busted is missing" >&2; exit 1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0

# A locale with a decimal comma, for the specs that must not care for it.
locales=$PWD/build/locale
if [ ! -d "$locales/de_DE.UTF-8" ]; then
  mkdir -p "$locales"
  localedef --no-archive -i de_DE -f UTF-8 "$locales/de_DE.UTF-8" || true
fi
export LOCPATH="$locales"

for lua in "$@"; do
  module=$PWD/build/$lua${VARIANT:-}/podero.so
  echo "== $lua"
  # The variables with a version in their names would win.
  { env -u LUA_CPATH_5_2 -u LUA_CPATH_5_3 -u LUA_CPATH_5_4 LUA_CPATH="${module%/*}/?.so;;" \
    ${WRAPPER:-} "$lua" "$busted" -o plainTerminal ${BUSTED:-} 2>&1 || echo "exit code $?"; } | tee "$log"
  counts=$(sed -n 's/^\([0-9]*\) success[a-z]* \/ \([0-9]*\) failure[a-z]* \/ \([0-9]*\) error[a-z]* \/ \([0-9]*\) pending.*/\1 \2 \3 \4/p' "$log" | tail -n 1)
  if [ -z "$counts" ]; then
    failed=$((failed + 1)) # it died
    continue
  fi
  read -r successes failures errors pending <<END
$counts
END
  bad=$((failures + errors))
  # A checker around the Lua may find fault where the specs do not.
  if [ "$bad" -eq 0 ] && grep -q '^exit code ' "$log"; then bad=1; fi
  passed=$((passed + successes)) failed=$((failed + bad)) skipped=$((skipped + pending))
done

if [ "$skipped" -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
