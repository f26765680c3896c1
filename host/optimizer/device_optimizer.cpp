#include "host/optimizer/device_optimizer.h"

#include <fmt/format.h>

#include "host/core/error.h"
#include "kernels/cells/cell_list.h"

namespace l2o {

DeviceOptimizer::DeviceOptimizer(Backend& backend, const Optimizer& optimizer)
    : backend_(&backend),
      cell_(optimizer.cell),
      meta_parameters_(backend, optimizer.meta_parameters.size()),
      packed_(backend, backend.packed_bytes(optimizer.cell)) {
  const auto expected = static_cast<std::size_t>(cell_meta_size(cell_));
  if (optimizer.meta_parameters.size() != expected) {
    throw Error(Status::kUsage,
                fmt::format("{} meta-parameters; this {} has {}", optimizer.meta_parameters.size(),
                            cell_name(cell_), expected));
  }
  meta_parameters_.upload(optimizer.meta_parameters);
  pack();
}

void DeviceOptimizer::pack() {
  backend_->pack({.cell = cell_, .meta = meta_parameters_.data(), .packed = packed_.data()});
}

CoordinateState::CoordinateState(Backend& backend, const CellConfig& cell, std::int64_t n)
    : bytes_(backend, backend.state_bytes(cell, n)) {
  reset();
}

void step(DeviceOptimizer& optimizer, std::int64_t n, const float* gradient, CoordinateState& state,
          float* theta) {
  optimizer.backend().step({.cell = optimizer.cell(),
                            .n = n,
                            .packed = optimizer.packed(),
                            .gradient = gradient,
                            .state = state.data(),
                            .theta = theta});
}

UnrollBackwardArgs unroll_backward_args(DeviceOptimizer& optimizer, std::int64_t n,
                                        int unroll_length) {
  UnrollBackwardArgs args;
  args.cell = optimizer.cell();
  args.n = n;
  args.unroll_length = unroll_length;
  args.segment_length = optimizer.backend().plan_segment_length(optimizer.cell(), unroll_length, 0);
  args.packed = optimizer.packed();
  return args;
}

}  // namespace l2o
