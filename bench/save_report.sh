#!/usr/bin/env bash
# Names a report as described in bench/results/README.md: bench/save_report.sh FILE DIRECTORY [PREFIX [SUFFIX]]
# The name is that of the device, never of the host, and the report contains no host name or path.
# The commit is L2O_COMMIT if it is set, otherwise that of this tree.
set -euo pipefail
device=$(sed -n 's/^ *"device": "[a-z]*: \([^,"]*\).*/\1/p; s/^ "gpu": "\([^,"]*\).*/\1/p; s/^ "processor": "\([^,"]*\).*/\1/p' "$1" |
  head -n 1 | tr -cs 'A-Za-z0-9\n' '-')
commit=${L2O_COMMIT:-$(git -C "$(dirname "${BASH_SOURCE[0]}")" describe --always --dirty --abbrev=9)}
name=$2/${3:-}${device:-device}-$(date +%F)-$commit${4:-}.json
sed -i '/"host_name":/d; /"executable":/d' "$1"
# Google Benchmark writes each benchmark when it is finished, and these brackets at the very end.
[ "$(tail -n 1 "$1")" = "}" ] || printf '\n  ]\n}\n' >>"$1"
[ "$1" -ef "$name" ] || mv "$1" "$name"
echo "saved $name" >&2
