#!/usr/bin/env bash
# All benches of this machine: bench/run_all.sh [--save] [--quick] [FLAG OF l2o_bench ...]
#   --save   also writes bench/results/<processor>-<date>-<commit>.json
#   --quick  one short repetition, for a first look
# BUILD names the build directory (build). Ours against PyTorch and JAX: bench/peers/compare.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

save=no
# Medians of five repetitions; of the long ones (N = 1e7) each is a single pass.
flags=(--benchmark_repetitions=5 --benchmark_min_time=0.2 --benchmark_report_aggregates_only=true)
passed_on=()
for argument in "$@"; do
  case $argument in
    --save) save=yes ;;
    --quick) flags=(--benchmark_min_time=0.05) ;;
    *) passed_on+=("$argument") ;;
  esac
done

if [ "$save" = yes ]; then
  # Which processor, never which host.
  processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 | tr -cs 'A-Za-z0-9\n' '-')
  name=${processor:-processor}-$(date +%F)-$(git describe --always --dirty --abbrev=9)
  flags+=("--benchmark_out=bench/results/$name.json" --benchmark_out_format=json)
fi
"${BUILD:-build}/bin/l2o_bench" "${flags[@]}" "${passed_on[@]}"
if [ "$save" = yes ]; then
  # Google Benchmark writes the host's name and the program's path; the results are about neither.
  sed -i '/"host_name":/d; /"executable":/d' "bench/results/$name.json"
  echo "saved bench/results/$name.json" >&2
fi
