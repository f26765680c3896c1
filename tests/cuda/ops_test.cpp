// The ops that optimizees are made of, on a CUDA device compared to the CPU: tails, batches,
// strides and alignments, sizes on both sides of every change of kernel, and non-finite numbers.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "tests/cuda/on_both.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::kInfinity;
using test::kNan;
using test::numbers;
using test::OnBackend;
using test::Results;

class CudaOps : public test::OnBoth {};

// ---------------------------------------------------------------------------------------- random

FillRandomArgs random_args(Distribution distribution, std::int64_t count) {
  FillRandomArgs args;
  args.distribution = distribution;
  args.a = 0.3F;
  args.b = 1.7F;
  args.key = {.seed = 99, .purpose = RandomPurpose::kTaskData, .task = 5, .step = 8};
  args.batch = 3;
  args.count = count;
  args.stride = count;
  return args;
}

/// Memory between the tasks is not modified.
Results random_numbers(Backend& backend, FillRandomArgs args, int offset) {
  OnBackend<float> out(backend, numbers(1, args.batch * args.stride), offset);
  args.out = out.data();
  backend.fill_random(args);
  return {out.values()};
}

TEST_F(CudaOps, RandomNumbersHaveTheSameBits) {
  for (const Distribution distribution : {Distribution::kUniform, Distribution::kNormal}) {
    for (const int count : {1, 3, 4, 5, 1000, 40'001}) {
      for (const int gap : {0, 1, 3}) {
        for (const int offset : {0, 1}) {
          SCOPED_TRACE(testing::Message()
                       << "count " << count << ", gap " << gap << ", offset " << offset);
          FillRandomArgs args = random_args(distribution, count);
          args.stride = count + gap;
          expect_same_bits([&](Backend& backend) { return random_numbers(backend, args, offset); });
        }
      }
    }
  }
}

TEST_F(CudaOps, RandomNumbersFromTheMiddleOfAStream) {
  for (const Distribution distribution :
       {Distribution::kUniform, Distribution::kNormal, Distribution::kLogUniform}) {
    for (const std::int64_t first : {1, 4, 7, 1'000'003}) {
      for (const int count : {1, 2, 6, 3000}) {
        for (const bool one_draw : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << "first " << first << ", count " << count << ", one draw " << one_draw);
          FillRandomArgs args = random_args(distribution, count);
          args.first = first;
          args.one_draw = one_draw;
          const auto op = [&](Backend& backend) { return random_numbers(backend, args, 0); };
          if (distribution == Distribution::kLogUniform) {  // exp from a different library
            expect_close(tolerance::kActivation, op);
          } else {
            expect_same_bits(op);
          }
        }
      }
    }
  }
}

TEST_F(CudaOps, MinibatchesAreTheSame) {
  constexpr int kBatch = 3, kRows = 70, kTargetSize = 5;
  constexpr std::int64_t kCount = 1000;
  for (const int row_size : {0, 1, 5, 12, 784}) {
    for (const int channels : {1, 3, 4}) {
      if (row_size % channels != 0) continue;
      for (const int offset : {0, 1}) {
        for (const bool bytes : {false, true}) {
          SCOPED_TRACE(testing::Message() << "row size " << row_size << ", channels " << channels
                                          << ", offset " << offset << ", bytes " << bytes);
          std::vector<std::uint8_t> inputs(static_cast<std::size_t>(kCount * row_size));
          std::vector<std::uint16_t> labels(kCount);
          for (std::size_t i = 0; i < inputs.size(); ++i) {
            inputs[i] = static_cast<std::uint8_t>(i * 31);
          }
          for (std::size_t i = 0; i < labels.size(); ++i) {
            labels[i] = static_cast<std::uint16_t>(i * 131);
          }
          expect_same_bits([&](Backend& backend) {
            OnBackend<RandomKey> key(
                backend,
                {{.seed = 5, .purpose = RandomPurpose::kMinibatch, .task = 11, .step = 3}});
            OnBackend<std::uint8_t> in(backend, inputs, offset);
            OnBackend<float> values(backend, numbers(2, kCount * row_size), offset);
            OnBackend<float> scale(backend, numbers(3, channels)),
                shift(backend, numbers(4, channels)),
                targets(backend, numbers(5, kCount * kTargetSize));
            OnBackend<std::uint16_t> label(backend, labels);
            OnBackend<float> out(backend, numbers(1, kBatch * kRows * row_size), offset);
            OnBackend<std::uint16_t> drawn(backend, std::vector<std::uint16_t>(kBatch * kRows));
            OnBackend<float> drawn_targets(backend, numbers(6, kBatch * kRows * kTargetSize));
            // Either labels or targets, and either bytes or floats.
            backend.gather_minibatch({.key = key.data(),
                                      .step = 4,
                                      .batch = kBatch,
                                      .rows = kRows,
                                      .count = kCount,
                                      .row_size = row_size,
                                      .channels = channels,
                                      .bytes = bytes ? in.data() : nullptr,
                                      .values = bytes ? nullptr : values.data(),
                                      .scale = scale.data(),
                                      .shift = shift.data(),
                                      .labels = bytes ? label.data() : nullptr,
                                      .targets = bytes ? nullptr : targets.data(),
                                      .target_size = kTargetSize,
                                      .minibatch = out.data(),
                                      .minibatch_labels = bytes ? drawn.data() : nullptr,
                                      .minibatch_targets = bytes ? nullptr : drawn_targets.data()});
            const std::vector<std::uint16_t> classes = drawn.values();
            return Results{out.values(), {classes.begin(), classes.end()}, drawn_targets.values()};
          });
        }
      }
    }
  }
}

// ------------------------------------------------------------------------------------- quadratic

struct QuadraticShape {
  int batch, functions, dimension;
  std::int64_t count() const { return std::int64_t{batch} * functions * dimension; }
};

/// theta and gradient have a stride larger than their size; memory in between is not modified.
Results quadratic(Backend& backend, const QuadraticShape& shape, const std::vector<float>& at) {
  const std::int64_t stride = std::int64_t{shape.functions} * shape.dimension + 3;
  std::vector<float> spread(static_cast<std::size_t>(shape.batch * stride));
  for (int task = 0; task < shape.batch; ++task) {
    std::copy_n(at.begin() + task * (stride - 3), stride - 3, spread.begin() + task * stride);
  }
  OnBackend<float> matrices(backend, numbers(1, shape.count() * shape.dimension), 1);
  OnBackend<float> targets(backend, numbers(2, shape.count()));
  OnBackend<float> theta(backend, spread);
  OnBackend<float> gradient(backend, numbers(5, shape.batch * stride));
  OnBackend<float> loss(backend, numbers(4, shape.batch));
  backend.quadratic({.batch = shape.batch,
                     .functions = shape.functions,
                     .dimension = shape.dimension,
                     .scale = 1.0F / static_cast<float>(shape.functions),
                     .matrices = matrices.data(),
                     .targets = targets.data(),
                     .theta = theta.data(),
                     .gradient = gradient.data(),
                     .stride = stride,
                     .loss = loss.data()});
  return {gradient.values(), loss.values()};
}

TEST_F(CudaOps, Quadratic) {
  for (const QuadraticShape shape :
       {QuadraticShape{3, 1, 1},
        {2, 5000, 1},
        {1, 100'003, 1},
        {3, 128, 10},
        {40, 70, 3},
        {1, 1500, 4},
        {2, 7, 17},
        {1, 5, 33},
        {2, 3, 64},
        {1, 2, 65},
        {2, 2, 128},
        // Large functions: in several pieces, in one piece, and in chunks of functions.
        {1, 1, 129},
        {2, 3, 130},
        {1, 1, 1030},
        {3, 90, 129}}) {
    SCOPED_TRACE(testing::Message()
                 << shape.batch << " x " << shape.functions << " of " << shape.dimension);
    expect_close(tolerance::kQuadratic, [&](Backend& backend) {
      return quadratic(backend, shape, numbers(3, shape.count()));
    });
  }
}

TEST_F(CudaOps, NanInAQuadraticFunctionStaysThere) {
  for (const QuadraticShape shape : {QuadraticShape{2, 200, 1}, {2, 5, 10}, {2, 5, 130}}) {
    SCOPED_TRACE(testing::Message() << "dimension " << shape.dimension);
    expect_close(tolerance::kQuadratic, [&](Backend& backend) {
      std::vector<float> theta = numbers(3, shape.count());
      theta[static_cast<std::size_t>(shape.dimension)] = kNan;  // the second function of two tasks
      return quadratic(backend, shape, theta);
    });
  }
}

// ------------------------------------------------------------------------------------------ gemm

TEST_F(CudaOps, Gemm) {
  for (const auto& [m, n, k] :
       {std::tuple{1, 1, 1}, {3, 5, 2}, {128, 20, 784}, {784, 20, 128}, {33, 1, 70}, {5, 4, 0}}) {
    for (int variant = 0; variant < 4; ++variant) {
      SCOPED_TRACE(testing::Message() << m << " x " << n << " x " << k << ", variant " << variant);
      GemmArgs args;
      args.transpose_a = (variant & 1) != 0;
      args.transpose_b = (variant & 2) != 0;
      args.m = m;
      args.n = n;
      args.k = k;
      args.batch = 3;
      args.stride_a = std::int64_t{m} * k + 3;
      args.stride_b = std::int64_t{k} * n + 5;
      args.stride_c = std::int64_t{m} * n + 7;
      expect_close(tolerance::kGemm, [&](Backend& backend) {
        std::vector<float> start = numbers(3, args.batch * args.stride_c);
        for (int task = 0; task < args.batch; ++task) {  // overwritten, not read
          std::fill_n(start.begin() + task * args.stride_c, std::int64_t{args.m} * args.n, kNan);
        }
        OnBackend<float> a(backend, numbers(1, args.batch * args.stride_a), 1);
        OnBackend<float> b(backend, numbers(2, args.batch * args.stride_b), 1);
        OnBackend<float> c(backend, start, 1);
        args.a = a.data();
        args.b = b.data();
        args.c = c.data();
        backend.gemm(args);
        return Results{c.values()};
      });
    }
  }
}

// ------------------------------------------------------------------------------- finite or not

TEST_F(CudaOps, NonFiniteNumbers) {
  for (const int size : {0, 1, 3, 4, 5, 1000, 32'768, 32'769, 300'003}) {
    for (const int offset : {0, 1}) {
      SCOPED_TRACE(testing::Message() << "size " << size << ", offset " << offset);
      std::vector<float> values = numbers(1, size);
      const float special[] = {kNan,
                               kInfinity,
                               -kInfinity,
                               -kNan,
                               std::numeric_limits<float>::max(),
                               std::numeric_limits<float>::denorm_min(),
                               -0.0F};
      for (std::size_t i = 0; i < std::size(special) && values.size() >= std::size(special); ++i) {
        values[i * (values.size() - 1) / (std::size(special) - 1)] = special[i];
      }
      if (size > 0) values.back() = kNan;
      expect_same_bits([&](Backend& backend) {
        OnBackend<float> in(backend, values, offset), out(backend, numbers(2, size), offset);
        OnBackend<std::int64_t> count(backend, {-1});
        backend.count_not_finite({size, in.data(), count.data()});
        backend.zero_not_finite({size, in.data(), out.data()});
        return Results{out.values(), {static_cast<float>(count.values().front())}};
      });
    }
  }
}

// ------------------------------------------------------------------------------------- recorded

TEST_F(CudaOps, RecordedOpsReadCurrentMemory) {
  // All ops that share the workspace, with sizes that need it, and the draw of a minibatch's rows.
  constexpr int kRows = 600, kColumns = 10, kCount = 50'000;
  Backend& backend = *cuda_;
  const auto key_of = [](std::uint32_t step) {
    return RandomKey{.seed = 5, .purpose = RandomPurpose::kMinibatch, .task = 1, .step = step};
  };
  std::vector<std::uint8_t> data(100 * kColumns);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 37);
  const std::vector<std::uint16_t> classes(100, 3);

  const auto run = [&](bool recorded) {
    OnBackend<RandomKey> key(backend, {key_of(0)});
    OnBackend<std::uint8_t> inputs(backend, data);
    OnBackend<std::uint16_t> labels(backend, classes);
    OnBackend<float> scale(backend, {1.0F}), shift(backend, {0.0F});
    OnBackend<float> logits(backend, numbers(1, kRows * kColumns));
    OnBackend<std::uint16_t> drawn(backend, std::vector<std::uint16_t>(kRows));
    OnBackend<float> loss(backend, {0.0F}), bias_gradient(backend, numbers(2, kColumns));
    OnBackend<float> theta(backend, numbers(3, kCount)), gradient(backend, numbers(4, kCount));
    OnBackend<float> quadratic_loss(backend, {0.0F});
    OnBackend<std::int64_t> count(backend, {-1});
    const auto work = [&] {
      backend.gather_minibatch({.key = key.data(),
                                .step = 1,
                                .batch = 1,
                                .rows = kRows,
                                .count = 100,
                                .row_size = kColumns,
                                .bytes = inputs.data(),
                                .scale = scale.data(),
                                .shift = shift.data(),
                                .labels = labels.data(),
                                .minibatch = logits.data(),
                                .minibatch_labels = drawn.data()});
      backend.softmax_cross_entropy({.batch = 1,
                                     .rows = kRows,
                                     .classes = kColumns,
                                     .logits = logits.data(),
                                     .labels = drawn.data(),
                                     .loss = loss.data()});
      backend.bias_activation_backward({.activation = Activation::kIdentity,
                                        .batch = 1,
                                        .rows = kRows,
                                        .columns = kColumns,
                                        .adjoint = logits.data(),
                                        .bias_gradient = bias_gradient.data(),
                                        .bias_gradient_stride = kColumns});
      backend.quadratic({.batch = 1,
                         .functions = kCount,
                         .dimension = 1,
                         .matrices = theta.data(),
                         .targets = theta.data(),
                         .theta = theta.data(),
                         .gradient = gradient.data(),
                         .loss = quadratic_loss.data()});
      backend.count_not_finite({kCount, gradient.data(), count.data()});
    };
    Results results;
    std::unique_ptr<Recording> recording;
    for (std::uint32_t step = 0; step < 3; ++step) {
      const RandomKey next = key_of(10 * step);
      backend.upload(key.data(), &next, sizeof next);
      if (recorded) {
        backend.run(recording, work);
      } else {
        work();
      }
      results.insert(results.end(), {logits.values(),
                                     loss.values(),
                                     bias_gradient.values(),
                                     quadratic_loss.values(),
                                     gradient.values(),
                                     {static_cast<float>(count.values().front())}});
    }
    return results;
  };
  const Results queued = run(false), recorded = run(true);
  for (std::size_t i = 0; i < queued.size(); ++i) {
    EXPECT_TRUE(test::same_bits(recorded[i], queued[i])) << "result " << i;
  }
  EXPECT_FALSE(test::same_bits(queued[0], queued[6])) << "other keys, other rows";
}

// ----------------------------------------------------------------------------------- zero sizes

TEST_F(CudaOps, ZeroSizeIsANoOp) {
  // All pointers are null: an access to memory would be reported as an error below at the latest.
  Backend& backend = *cuda_;
  FillRandomArgs random;
  random.batch = 1;
  backend.fill_random(random);
  random.batch = 0;
  random.count = 1;
  backend.fill_random(random);
  backend.gemm({.m = 0, .n = 1, .k = 1, .batch = 1});
  backend.gemm({.m = 1, .n = 0, .k = 1, .batch = 1});
  backend.gemm({.m = 1, .n = 1, .k = 1, .batch = 0});
  backend.gemm({.m = 1, .n = 1, .k = 0, .batch = 0});
  backend.bias_activation({.batch = 0, .rows = 1, .columns = 1});
  backend.bias_activation({.batch = 1, .rows = 0, .columns = 1});
  backend.bias_activation({.batch = 1, .rows = 1, .columns = 0});
  backend.bias_activation_backward({.batch = 0, .rows = 1, .columns = 1});
  backend.bias_activation_backward({.batch = 1, .rows = 0, .columns = 1});
  backend.bias_activation_backward({.batch = 1, .rows = 1, .columns = 0});
  backend.softmax_cross_entropy({.batch = 0, .rows = 1, .classes = 1});
  backend.softmax_cross_entropy({.batch = 1, .rows = 0, .classes = 1});
  backend.gather_minibatch({.batch = 1, .rows = 0, .count = 1, .row_size = 1});
  backend.gather_minibatch({.batch = 0, .rows = 1, .count = 1, .row_size = 1});
  backend.quadratic({.batch = 0, .functions = 1, .dimension = 1});
  backend.quadratic({.batch = 1, .functions = 0, .dimension = 1});
  backend.quadratic({.batch = 1, .functions = 1, .dimension = 0});
  backend.zero_not_finite({});
  backend.synchronize();
}

}  // namespace
}  // namespace l2o
