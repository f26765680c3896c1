#!/bin/sh
# Runs nvcc and saves ptxas's report on every kernel next to the object file, as <object>.ptxas, for
# tests/budget. All other output goes to stderr.
before='' object=''
for argument; do
  [ "$before" = -o ] && object=$argument
  before=$argument
done
"$@" 2>"$object.all"
status=$?
grep -E "^ptxas info|bytes stack frame" "$object.all" >"$object.ptxas"
grep -vE "^ptxas info|bytes stack frame" "$object.all" >&2
rm -f "$object.all"
exit $status
