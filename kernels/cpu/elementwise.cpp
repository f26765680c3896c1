// Elementwise ops.
#include <algorithm>

#include "kernels/cpu/launchers.h"
#include "kernels/cpu/visit_activation.h"

namespace l2o::cpu {
namespace {

/// Calls work(first, end) for pieces of n values.
template <class Work>
void for_values(ThreadPool& pool, std::int64_t n, const Work& work) {
  constexpr std::int64_t kPiece = 1 << 14;
  pool.parallel_for((n + kPiece - 1) / kPiece, [&](std::int64_t item, int) {
    work(item * kPiece, std::min((item + 1) * kPiece, n));
  });
}

}  // namespace

void activation(const ActivationArgs& args, ThreadPool& pool) {
  visit_activation(args.activation, [&](auto value, auto) {
    for_values(pool, args.n, [&](std::int64_t first, std::int64_t end) {
      for (std::int64_t i = first; i < end; ++i) args.output[i] = value(args.input[i]);
    });
  });
}

void activation_backward(const ActivationBackwardArgs& args, ThreadPool& pool) {
  if (!slope_depends_only_on_output(args.activation)) {  // gelu
    for_values(pool, args.n, [&](std::int64_t first, std::int64_t end) {
      for (std::int64_t i = first; i < end; ++i) {
        args.input_adjoint[i] = args.output_adjoint[i] * gelu_slope_at(args.input[i]);
      }
    });
    return;
  }
  visit_activation(args.activation, [&](auto, auto slope) {
    for_values(pool, args.n, [&](std::int64_t first, std::int64_t end) {
      for (std::int64_t i = first; i < end; ++i) {
        args.input_adjoint[i] = args.output_adjoint[i] * slope(args.output[i]);
      }
    });
  });
}

void add(const AddArgs& args, ThreadPool& pool) {
  for_values(pool, args.n, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t i = first; i < end; ++i) args.values[i] += args.addend[i];
  });
}

void multiply(const MultiplyArgs& args, ThreadPool& pool) {
  for_values(pool, args.n, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t i = first; i < end; ++i) {
      args.out[i] =
          args.divide ? args.values[i] / args.factors[i] : args.values[i] * args.factors[i];
    }
  });
}

}  // namespace l2o::cpu
