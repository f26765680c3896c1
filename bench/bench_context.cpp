#include "bench/bench_context.h"

namespace l2o {

void set_counters(benchmark::State& state, const Work& work, double coordinate_steps,
                  double seconds) {
  state.counters["coordinate-steps/s"] = coordinate_steps / seconds;
  state.counters["GFLOP/s"] = work.flops * 1e-9 / seconds;
  state.counters["GB/s"] = work.bytes * 1e-9 / seconds;
  state.counters["percent_of_roof"] = 100.0 * work.roof_seconds / seconds;
}

}  // namespace l2o
