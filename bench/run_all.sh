#!/usr/bin/env bash
# Runs all benchmarks on this machine: bench/run_all.sh [--save[=DIRECTORY]] [--quick | --gpu] [FLAG OF l2o_bench ...]
#   --save   also writes a report to bench/results/, or to the directory; a run that is stopped or
#            fails leaves a partial report, whose name ends in -stopped
#   --quick  one short repetition, for a first look
#   --gpu    the GPU benchmarks, each in a separate process with three short repetitions, because
#            there are many cases and a GPU has little noise
# BUILD names the build directory (build). Ours against PyTorch and JAX: bench/peers/compare.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

save='' gpu=''
# Medians of five repetitions; each of the long ones (N = 1e7) is a single pass.
flags=(--benchmark_repetitions=5 --benchmark_min_time=0.2 --benchmark_report_aggregates_only=true)
passed_on=()
for argument in "$@"; do
  case $argument in
    --save) save=bench/results ;;
    --save=*) save=${argument#--save=} ;;
    --quick) flags=(--benchmark_min_time=0.05) ;;
    --gpu)
      gpu=1
      flags=(--benchmark_repetitions=3 --benchmark_min_time=0.1 --benchmark_report_aggregates_only=true) ;;
    *) passed_on+=("$argument") ;;
  esac
done
bench=${BUILD:-build}/bin/l2o_bench

work=$(mktemp -d)
report=$work/bench.json
finish() {
  local status=$?
  if [ -n "$save" ] && [ -s "$report" ]; then
    mkdir -p "$save"
    if [ "$status" -eq 0 ]; then bench/save_report.sh "$report" "$save"
    else bench/save_report.sh "$report" "$save" '' -stopped; fi
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "$gpu" ]; then
  bench/run_each.py "$bench" "$work" --l2o_device=cuda "${flags[@]}" "${passed_on[@]}"
else
  "$bench" "${flags[@]}" ${save:+"--benchmark_out=$report" --benchmark_out_format=json} "${passed_on[@]}"
fi
