// The optimizer's ops: `step` of the learned rule and of two hand-designed ones, and
// `unroll_backward`, over numbers of coordinates and shapes of the LSTM.
#include <fmt/format.h>

#include <iostream>
#include <utility>
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
constexpr std::int64_t kCoordinatesOfOtherShapes = 100'000;

/// Small normal numbers, as gradients are.
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

/// Leaves a case out, and says so, when it would take more than half of the device's memory.
bool fits(const BenchContext& context, const std::string& name, const Optimizer& optimizer,
          std::int64_t n) {
  constexpr double kTraceBytes = 4.0 * (kUnrollLength + 1);
  const double bytes = static_cast<double>(context.backend.state_bytes(optimizer.cell, n)) +
                       static_cast<double>(n) * kTraceBytes;
  const auto memory = static_cast<double>(context.backend.device().memory_bytes);
  if (memory == 0.0 || bytes < memory / 2) return true;
  std::cerr << name << " is left out: it takes " << bytes * 1e-9 << " GB\n";
  return false;
}

using Bench = void(benchmark::State&, BenchContext&, const Optimizer&, std::int64_t);

void add(BenchContext& context, Bench* bench, const std::string& what, const Optimizer& optimizer,
         std::int64_t n) {
  const std::string name = fmt::format("{}/N:{}", what, n);
  if (!fits(context, name, optimizer, n)) return;
  register_bench(name, [&context, bench, optimizer, n](benchmark::State& state) {
    bench(state, context, optimizer, n);
  });
}

Optimizer learned(LstmConfig lstm) {
  return make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 1);
}

std::string shape_name(const char* op, const LstmConfig& lstm) {
  return fmt::format("{}/lstm/L:{}/H:{}", op, lstm.layers, lstm.hidden);
}

}  // namespace

void register_optimizer_benches(BenchContext& context) {
  std::vector<LstmConfig> other_shapes;
  for (const int layers : {1, 3}) other_shapes.push_back({.layers = layers, .hidden = 20});
  for (const int hidden : {8, 32, 64}) other_shapes.push_back({.layers = 2, .hidden = hidden});

  const std::pair<const char*, Bench*> ops[] = {{"step", bench_step},
                                                {"unroll_backward", bench_unroll_backward}};
  for (const auto& [op, bench] : ops) {
    for (const std::int64_t n : kCoordinates) {
      add(context, bench, shape_name(op, kPaperShape), learned(kPaperShape), n);
    }
    for (const LstmConfig& lstm : other_shapes) {
      add(context, bench, shape_name(op, lstm), learned(lstm), kCoordinatesOfOtherShapes);
    }
  }
  for (const char* rule : {"sgd", "adam"}) {
    for (const std::int64_t n : kCoordinates) {
      add(context, bench_step, fmt::format("step/{}", rule),
          make_hand_designed_optimizer(rule, 1e-3F), n);
    }
  }
}

}  // namespace l2o
