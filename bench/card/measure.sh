#!/usr/bin/env bash
# Tests and measures a GPU: bench/card/measure.sh [OUT] [PART ...]
#
#   info      the machine, its GPU, driver and versions
#   tests     all tests of the CUDA backend
#   sanitize  a few of them under compute-sanitizer: memcheck and racecheck
#   bench     every op and every optimizee against the roofs of the GPU
#   peers     ours against PyTorch and JAX, with a Python that has them
#   profile   hardware counters of the learned rule's kernels, by ncu; only where it is named
#
# The programs are those that bench/card/pack.sh packed. Results go to OUT (out/gpu): log.txt has all
# that was said. All parts end within L2O_GPU_SECONDS (570): each has a bound of its own, and what
# there is no time left for is left out with a line. The exit status is that of the tests and the
# sanitizers. L2O_PYTHON names another Python than python3.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2

archive=build/gpu/carry/programs.tar.gz
out=${1:-out/gpu}
case $out in
  info | tests | sanitize | bench | peers | profile) echo "OUT comes first: ./run gpu run out/gpu $out" >&2; exit 2 ;;
esac
shift || true
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(info tests sanitize bench peers)
python=${L2O_PYTHON:-python3}
deadline=${L2O_GPU_SECONDS:-570}
failed=()

for part in "${parts[@]}"; do
  case $part in
    info | tests | sanitize | bench | peers | profile) ;;
    *) echo "unknown part '$part': expected info, tests, sanitize, bench, peers or profile" >&2; exit 2 ;;
  esac
done
[ -f "$archive" ] || { echo "there is no $archive: ./run gpu build makes it" >&2; exit 2; }
mkdir -p "$out"
out=$(cd "$out" && pwd)
log=$out/log.txt
: >"$log"
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
"$python" -m tarfile -e "$archive" "$programs" || exit 2
chmod +x "$programs"/bin/l2o*
L2O_COMMIT=$(cat "$programs/commit")
export L2O_COMMIT

say() { printf '%s\n' "$*" | tee -a "$log"; }

# cuBLAS and the tools, where the machine does not find them by itself.
cuda=$(dirname "$(dirname "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")")
export PATH=$PATH:$cuda/bin
libraries=${LD_LIBRARY_PATH:-}
if ! ldconfig -p | grep libcublas.so >/dev/null; then
  for directory in "$cuda/lib64" "$("$python" -c 'import nvidia.cublas as c; print(list(c.__path__)[0] + "/lib")' 2>/dev/null)" \
    "$("$python" -c 'import nvidia.cu13 as c; print(list(c.__path__)[0] + "/lib")' 2>/dev/null)"; do
    if compgen -G "$directory/libcublas.so*" >/dev/null; then
      libraries=$directory${libraries:+:$libraries}
      break
    fi
  done
fi
ours=(env "LD_LIBRARY_PATH=$libraries")

# bounded SECONDS COMMAND...: runs it for at most so long and no longer than there is time, into the
# log. 124: it was stopped.
bounded() {
  local left=$((deadline - SECONDS)) seconds=$1
  [ "$seconds" -le "$left" ] || seconds=$left
  [ "$seconds" -gt 0 ] || { say "left out: no time"; return 124; }
  shift
  timeout --kill-after=5 "$seconds" "$@" 2>&1 | tee -a "$log"
  local status=${PIPESTATUS[0]}
  case $status in 124 | 137) say "stopped after $seconds s" ;; esac
  return "$status"
}

info() {
  say "commit $L2O_COMMIT"
  bounded 20 nvidia-smi
  bounded 20 nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem,power.limit --format=csv
  bounded 20 nvcc --version
  bounded 20 grep -m 1 'model name' /proc/cpuinfo
  bounded 60 "${ours[@]}" "$programs/bin/l2o" devices
  bounded 60 "$python" -c 'import sys, torch, jax; print("Python", sys.version.split()[0], "PyTorch", torch.__version__, "JAX", jax.__version__)'
}

tests() {
  bounded 180 "${ours[@]}" "$programs/bin/l2o_cuda_test" --gtest_brief=1 "--gtest_output=xml:$out/tests.xml" ||
    failed+=(tests)
}

# Every kernel of the learned rule at its own shape, and one test of each other kind of kernel.
some_tests='*TensorCoreLstm.AgreesWithFloat64/h20_l2_*:*PortableLstmShapes.AgreesWithFloat64/h21_l2'
some_tests+=':CudaGenericDriver.MetaGradient*:CudaMetaUpdate.IsTheProcessors:CudaOps.BiasAndActivation*'
some_tests+=':CudaOps.SoftmaxCrossEntropy:CudaOps.Quadratic:CudaOps.NumbersThatAreNotFinite'

sanitize() {
  command -v compute-sanitizer >/dev/null || { say "left out: there is no compute-sanitizer"; return; }
  local tool told status
  for tool in memcheck racecheck; do
    told=$(mktemp)
    bounded 90 "${ours[@]}" compute-sanitizer --tool "$tool" --error-exitcode 99 \
      "$programs/bin/l2o_cuda_test" --gtest_brief=1 "--gtest_filter=$some_tests" >"$told"
    status=$?
    cat "$told"
    if ! grep -q SUMMARY "$told" || grep -qi 'device not supported' "$told"; then
      say "$tool came to no result"
    elif [ "$status" -ne 0 ]; then
      failed+=("$tool")
    fi
    rm -f "$told"
  done
}

bench() { BUILD=$programs bounded 200 "${ours[@]}" bench/run_all.sh "--save=$out" --card --l2o_device=cuda; }

peers() {
  local left=$((deadline - SECONDS - 20)) json=$out/peers.json
  bounded "$left" "$python" bench/peers/compare.py --device cuda --limit "$((left * 9 / 10))" --json "$json" \
    --engine "env LD_LIBRARY_PATH=$libraries $programs/bin/l2o_peer_worker"
  [ ! -f "$json" ] || bench/save_report.sh "$json" "$out" peers-
}

profile() {
  command -v ncu >/dev/null || { say "left out: there is no ncu"; return; }
  bounded 200 "${ours[@]}" ncu --clock-control none --set full -k 'regex:lstm_' --launch-count 12 \
    "$programs/bin/l2o_bench" --l2o_device=cuda --l2o_roof_memory=100000000 --benchmark_min_time=0.001 \
    '--benchmark_filter=(step|unroll_backward)/lstm/L:2/H:20/.*N:1000000/'
}

# Without a GPU every test would be skipped.
if ! "${ours[@]}" "$programs/bin/l2o" devices --json | grep -q '"name":"cuda"'; then
  say "the programs see no GPU:"
  bounded 60 "${ours[@]}" "$programs/bin/l2o" devices
  exit 2
fi

for part in "${parts[@]}"; do
  if [ $((deadline - SECONDS)) -lt 30 ]; then
    say "== $part is left out: $SECONDS s of $deadline are gone"
    continue
  fi
  say "== $part, after $SECONDS s"
  "$part"
done
say "== the end, after $SECONDS s"
[ ${#failed[@]} -eq 0 ] || { say "FAILED: ${failed[*]}"; exit 1; }
