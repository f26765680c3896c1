#!/bin/sh
# Runs nvcc and moves ptxas's report on every kernel from stderr to a file next to the object, <object>.ptxas, for
# tests/budget. The rest of stderr is passed on. Without an object (-o), only runs the command.
before='' object=''
for argument; do
  [ "$before" = -o ] && object=$argument
  before=$argument
done
[ -n "$object" ] || exec "$@"
"$@" 2>"$object.all"
status=$?
awk -v report="$object.ptxas" '
  BEGIN { printf "" >report }
  /^ptxas info|bytes stack frame/ { print >report; next }
  { print }' "$object.all" >&2 || status=1
rm -f "$object.all"
exit $status
