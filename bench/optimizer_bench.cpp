// Benchmarks of the optimizer's ops: `step` of the learned rule and of two hand-designed ones, and
// `unroll_backward`, for several numbers of coordinates and shapes of the LSTM.
#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "bench/bench_context.h"
#include "host/backend/buffer.h"
#include "host/optimizer/device_optimizer.h"
#include "host/optimizer/optimizer.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
namespace {

constexpr int kUnrollLength = 20;
constexpr LstmConfig kPaperShape{.layers = 2, .hidden = 20};
constexpr std::int64_t kCoordinates[] = {1'000, 10'000, 100'000, 1'000'000, 10'000'000};
/// Only for GPUs, in addition.
constexpr std::int64_t kMostCoordinates = 100'000'000;
/// Enough to keep the device busy.
constexpr std::int64_t coordinates_of_other_shapes(bool is_gpu) {
  return is_gpu ? 1'000'000 : 100'000;
}

/// Small normal numbers, like gradients.
void fill_gradients(Backend& backend, std::size_t count, float* gradients) {
  FillRandomArgs args;
  args.distribution = Distribution::kNormal;
  args.b = 0.1F;
  args.batch = 1;
  args.count = static_cast<std::int64_t>(count);
  args.out = gradients;
  backend.fill_random(args);
}

void bench_step(benchmark::State& state, BenchContext& context, const Optimizer& optimizer,
                std::int64_t n) {
  CostMeter& backend = context.backend;
  DeviceOptimizer rule(backend, optimizer);
  CoordinateState coordinate_state(backend, rule.cell(), n);
  Buffer<float> theta(backend, static_cast<std::size_t>(n));
  theta.fill_zero();
  Buffer<float> gradient(backend, static_cast<std::size_t>(n));
  fill_gradients(backend, gradient.size(), gradient.data());

  run_iterations(state, context, static_cast<double>(n),
                 [&] { step(rule, n, gradient.data(), coordinate_state, theta.data()); });
}

void bench_unroll_backward(benchmark::State& state, BenchContext& context,
                           const Optimizer& optimizer, std::int64_t n) {
  CostMeter& backend = context.backend;
  DeviceOptimizer rule(backend, optimizer);
  CoordinateState start_state(backend, rule.cell(), n);
  Buffer<float> trace(backend, (kUnrollLength + 1) * static_cast<std::size_t>(n));
  fill_gradients(backend, trace.size(), trace.data());
  Buffer<float> weights(backend, kUnrollLength + 1);
  weights.upload(std::vector<float>(kUnrollLength + 1, 1.0F));
  Buffer<float> meta_gradient(backend, rule.meta_parameters().size());

  UnrollBackwardArgs args = unroll_backward_args(rule, n, kUnrollLength);
  args.trace = trace.data();
  args.weights = weights.data();
  args.start_state = start_state.data();
  args.meta_gradient = meta_gradient.data();
  Buffer<std::byte> scratch(backend, backend.unroll_backward_scratch_bytes(args));
  args.scratch = scratch.data();

  run_iterations(state, context, static_cast<double>(n) * kUnrollLength,
                 [&] { backend.unroll_backward(args); });
}

struct Op {
  const char* name;
  void (*bench)(benchmark::State&, BenchContext&, const Optimizer&, std::int64_t);
  int floats;  ///< per coordinate, besides the state
};
constexpr Op kStep{"step", bench_step, 2};  // theta and its gradient
constexpr Op kUnrollBackward{"unroll_backward", bench_unroll_backward, kUnrollLength + 1};

/// Whether a case fits: it may take half of a CPU's memory, which other programs use as well, or
/// nearly all of a GPU's. Reports it if not.
bool fits(const BenchContext& context, const Op& op, const std::string& name,
          const Optimizer& optimizer, std::int64_t n) {
  const double bytes = static_cast<double>(context.backend.state_bytes(optimizer.cell, n)) +
                       static_cast<double>(n) * op.floats * sizeof(float);
  const double most =
      (context.is_gpu() ? 0.9 : 0.5) * static_cast<double>(context.device().memory_bytes);
  if (most == 0.0 || bytes < most) return true;
  std::cerr << fmt::format("{} is left out: it takes {:.2f} GB; expected less than {:.2f} GB\n",
                           name, bytes * 1e-9, most * 1e-9);
  return false;
}

void add(BenchContext& context, const Op& op, const std::string& what, const Optimizer& optimizer,
         std::int64_t n) {
  const std::string name = fmt::format("{}/N:{}", what, n);
  if (!fits(context, op, name, optimizer, n)) return;
  register_bench(name, [&context, bench = op.bench, optimizer, n](benchmark::State& state) {
    bench(state, context, optimizer, n);
  });
}

Optimizer learned(LstmConfig lstm) {
  return make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 1);
}

/// On a GPU the name also says how the rule is computed.
std::string shape_name(const BenchContext& context, const Op& op, const CellConfig& cell) {
  const bool is_portable = !tensor_cores_of(context.device(), cell).has_value();
  const LstmConfig& lstm = cell.lstm;
  return fmt::format("{}/lstm/L:{}/H:{}{}{}", op.name, lstm.layers, lstm.hidden,
                     lstm.output == Output::kModulated ? "/modulated" : "",
                     context.is_gpu() && is_portable ? "/portable" : context.suffix());
}

/// The rule of the general models.
LstmConfig modulated(int layers, int hidden) {
  return {.layers = layers,
          .hidden = hidden,
          .preprocessing = Preprocessing::kAdamMoments,
          .output = Output::kModulated,
          .output_scale = 3e-3F};
}

/// Runs without tensor cores on a GPU: they have no kernels for this shape.
constexpr LstmConfig kPortableShape{.layers = 2, .hidden = 21};

/// The shapes, besides the paper's, that run at one N.
std::vector<LstmConfig> other_shapes() {
  std::vector<LstmConfig> shapes = {kPortableShape};
  for (const int layers : {1, 3}) shapes.push_back({.layers = layers, .hidden = 20});
  for (const int hidden : {8, 32, 64}) shapes.push_back({.layers = 2, .hidden = hidden});
  shapes.push_back(modulated(1, 20));
  shapes.push_back(modulated(1, 8));
  shapes.push_back(modulated(2, 20));
  return shapes;
}

}  // namespace

void register_optimizer_benches(BenchContext& context) {
  std::vector<std::int64_t> sizes(std::begin(kCoordinates), std::end(kCoordinates));
  if (context.is_gpu()) sizes.push_back(kMostCoordinates);
  for (const Op& op : {kStep, kUnrollBackward}) {
    const auto add_shape = [&](const LstmConfig& lstm, std::int64_t n) {
      const Optimizer optimizer = learned(lstm);
      add(context, op, shape_name(context, op, optimizer.cell), optimizer, n);
    };
    for (const std::int64_t n : sizes) add_shape(kPaperShape, n);
    if (!context.is_gpu()) {  // the cost of general rules next to the paper's; for GPUs see below
      for (const int hidden : {20, 8}) add_shape(modulated(1, hidden), 1'000'000);
    }
    for (const LstmConfig& lstm : other_shapes()) {
      if (!context.is_default_precision() &&
          !tensor_cores_of(context.device(), learned(lstm).cell)) {
        continue;
      }
      add_shape(lstm, coordinates_of_other_shapes(context.is_gpu()));
    }
  }
  if (!context.is_default_precision()) return;
  for (const char* rule : {"sgd", "adam"}) {
    for (const std::int64_t n : sizes) {
      add(context, kStep, fmt::format("{}/{}", kStep.name, rule),
          make_hand_designed_optimizer(rule, 1e-3F), n);
    }
  }
}

}  // namespace l2o
