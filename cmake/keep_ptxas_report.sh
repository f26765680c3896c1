#!/bin/sh
# Runs nvcc and keeps what ptxas says of every kernel beside the object file, as <object>.ptxas:
# tests/budget reads it. What is no report goes on to stderr.
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
