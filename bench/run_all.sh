#!/usr/bin/env bash
# All benches of this machine: bench/run_all.sh [--save[=DIRECTORY]] [--quick | --card] [FLAG OF l2o_bench ...]
#   --save   also writes a report into bench/results/, or the directory
#   --quick  one short repetition, for a first look
#   --card   three short repetitions: a card has little noise, and many cases
# BUILD names the build directory (build). Ours against PyTorch and JAX: bench/peers/compare.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

save=
# Medians of five repetitions; of the long ones (N = 1e7) each is a single pass.
flags=(--benchmark_repetitions=5 --benchmark_min_time=0.2 --benchmark_report_aggregates_only=true)
passed_on=()
for argument in "$@"; do
  case $argument in
    --save) save=bench/results ;;
    --save=*) save=${argument#--save=} ;;
    --quick) flags=(--benchmark_min_time=0.05) ;;
    --card) flags=(--benchmark_repetitions=3 --benchmark_min_time=0.1 --benchmark_report_aggregates_only=true) ;;
    *) passed_on+=("$argument") ;;
  esac
done

if [ -n "$save" ]; then
  report=$save/unnamed.json
  trap 'rm -f "$report"' EXIT
  flags+=("--benchmark_out=$report" --benchmark_out_format=json)
fi
"${BUILD:-build}/bin/l2o_bench" "${flags[@]}" "${passed_on[@]}"
[ -z "$save" ] || bench/save_report.sh "$report" "$save"
