// A layer's bias and activation, and the way back.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/launchers.h"
#include "kernels/math/activation.h"

namespace l2o::cpu {
namespace {

/// Calls visitor(value, slope): value(z) is the activation, slope(y) its derivative at y =
/// value(z).
template <class Visitor>
void visit_activation(Activation activation, Visitor&& visitor) {
  switch (activation) {
    case Activation::kIdentity:
      visitor([](float z) { return z; }, [](float) { return 1.0F; });
      return;
    case Activation::kSigmoid:
      visitor([](float z) { return sigmoid(z); }, [](float y) { return sigmoid_slope(y); });
      return;
    case Activation::kRelu:
      visitor([](float z) { return relu(z); }, [](float y) { return relu_slope(y); });
      return;
    case Activation::kTanh:
      visitor([](float z) { return std::tanh(z); }, [](float y) { return tanh_slope(y); });
      return;
  }
}

}  // namespace

void bias_activation(const BiasActivationArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  constexpr std::int64_t kBlockRows = 64;
  const std::int64_t blocks = (args.rows - 1) / kBlockRows + 1;
  visit_activation(args.activation, [&](auto value, auto) {
    pool.parallel_for(args.batch * blocks, [&](std::int64_t index, int) {
      const std::int64_t task = index / blocks;
      const std::int64_t first = index % blocks * kBlockRows;
      const std::int64_t end = std::min<std::int64_t>(first + kBlockRows, args.rows);
      const float* bias = args.bias + task * args.bias_stride;
      for (std::int64_t row = first; row < end; ++row) {
        float* values = args.values + (task * args.rows + row) * args.columns;
        for (int j = 0; j < args.columns; ++j) values[j] = value(values[j] + bias[j]);
      }
    });
  });
}

void bias_activation_backward(const BiasActivationBackwardArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  // One block of columns is one item, and sums its rows in order: the same for any thread count.
  constexpr int kBlockColumns = 64;
  const std::int64_t blocks = (args.columns - 1) / kBlockColumns + 1;
  visit_activation(args.activation, [&](auto, auto slope) {
    pool.parallel_for(args.batch * blocks, [&](std::int64_t index, int) {
      const std::int64_t task = index / blocks;
      const auto first = static_cast<int>(index % blocks) * kBlockColumns;
      const int columns = std::min(kBlockColumns, args.columns - first);
      double sums[kBlockColumns] = {};
      for (std::int64_t row = 0; row < args.rows; ++row) {
        const std::int64_t offset = (task * args.rows + row) * args.columns + first;
        float* adjoint = args.adjoint + offset;
        if (args.activation != Activation::kIdentity) {
          const float* activated = args.activated + offset;
          for (int j = 0; j < columns; ++j) adjoint[j] *= slope(activated[j]);
        }
        for (int j = 0; j < columns; ++j) sums[j] += adjoint[j];
      }
      float* bias_gradient = args.bias_gradient + task * args.bias_gradient_stride + first;
      for (int j = 0; j < columns; ++j) bias_gradient[j] = static_cast<float>(sums[j]);
    });
  });
}

}  // namespace l2o::cpu
