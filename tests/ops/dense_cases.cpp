// Products, bias and activation, minibatches, quadratics.
#include <fmt/format.h>

#include <utility>

#include "tests/ops/op_case.h"
#include "tests/ops/reference.h"
#include "tests/support/tolerances.h"

namespace l2o::test {
namespace {

OpCase gemm_case(bool transpose_a, bool transpose_b, int m, int n, int k, int batch) {
  const Floats a = uniform(1, std::int64_t{batch} * m * k),
               b = uniform(2, std::int64_t{batch} * k * n);
  return {"gemm",
          fmt::format("{}{}_{}x{}x{}_B{}", transpose_a ? "T" : "N", transpose_b ? "T" : "N", m, n,
                      k, batch),
          tolerance::kGemm,
          [=](OpRun& run) {
            GemmArgs args;
            args.transpose_a = transpose_a;
            args.transpose_b = transpose_b;
            args.m = m;
            args.n = n;
            args.k = k;
            args.batch = batch;
            args.a = run.in(a);
            args.stride_a = std::int64_t{m} * k;
            args.b = run.in(b);
            args.stride_b = std::int64_t{k} * n;
            args.c = run.out(static_cast<std::size_t>(std::int64_t{batch} * m * n));
            args.stride_c = std::int64_t{m} * n;
            run.costs(args);
            run.backend().gemm(args);
          },
          [=] {
            Doubles result;
            for (int matrix = 0; matrix < batch; ++matrix) {
              for (int i = 0; i < m; ++i) {
                for (int j = 0; j < n; ++j) {
                  double sum = 0.0;
                  for (int l = 0; l < k; ++l) {
                    const int in_a = matrix * m * k + (transpose_a ? l * m + i : i * k + l);
                    const int in_b = matrix * k * n + (transpose_b ? j * k + l : l * n + j);
                    sum += double{a[static_cast<std::size_t>(in_a)]} *
                           b[static_cast<std::size_t>(in_b)];
                  }
                  result.push_back(sum);
                }
              }
            }
            return std::vector<Doubles>{result};
          }};
}

void add_bias_cases(Activation activation, int batch, int rows, int columns, std::int64_t gap,
                    std::vector<OpCase>& cases) {
  const std::int64_t stride = columns + gap, count = std::int64_t{batch} * rows * columns;
  const Floats values = uniform(1, count, -3.0, 3.0), bias = uniform(2, batch * stride);
  const Floats adjoint = uniform(3, count);
  const std::string name = fmt::format("{}_B{}_R{}_C{}", name_of(activation), batch, rows, columns);
  const auto task_of = [=](std::size_t i) {
    return i / (static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
  };
  const auto bias_index = [=](std::size_t i) {
    return task_of(i) * static_cast<std::size_t>(stride) + i % static_cast<std::size_t>(columns);
  };
  cases.push_back({"bias_activation", name, tolerance::kElement,
                   [=](OpRun& run) {
                     BiasActivationArgs args;
                     args.activation = activation;
                     args.batch = batch;
                     args.rows = rows;
                     args.columns = columns;
                     args.values = run.in_place(values);
                     args.bias = run.in(bias);
                     args.bias_stride = stride;
                     run.costs(args);
                     run.backend().bias_activation(args);
                   },
                   [=] {
                     Doubles y;
                     for (std::size_t i = 0; i < values.size(); ++i) {
                       y.push_back(
                           activation_of(activation, double{values[i]} + bias[bias_index(i)]));
                     }
                     return std::vector<Doubles>{y};
                   }});
  cases.push_back({"bias_activation_backward", name, tolerance::kElement,
                   [=](OpRun& run) {
                     Floats y;
                     for (const float z : values) {
                       y.push_back(static_cast<float>(activation_of(activation, z)));
                     }
                     BiasActivationBackwardArgs args;
                     args.activation = activation;
                     args.batch = batch;
                     args.rows = rows;
                     args.columns = columns;
                     args.activated = run.in(y);
                     args.adjoint = run.in_place(adjoint);
                     args.bias_gradient = run.out(bias.size());
                     args.bias_gradient_stride = stride;
                     run.costs(args);
                     run.backend().bias_activation_backward(args);
                   },
                   [=] {
                     Doubles dz, sums(bias.size(), kUntouched);
                     for (std::size_t i = 0; i < values.size(); ++i) sums[bias_index(i)] = 0.0;
                     for (std::size_t i = 0; i < values.size(); ++i) {
                       dz.push_back(adjoint[i] * slope_of(activation, values[i]));
                       sums[bias_index(i)] += dz.back();
                     }
                     return std::vector<Doubles>{dz, sums};
                   }});
}

OpCase gather_minibatch_case(bool has_bytes, bool has_labels, bool has_targets, int batch, int rows,
                             int pixels, int channels) {
  constexpr std::int64_t kCount = 37;
  constexpr int kTargets = 3;
  const int row_size = pixels * channels;
  const Floats values = uniform(1, kCount * row_size, 0.0, 256.0);
  const std::vector<std::uint8_t> as_bytes(values.begin(), values.end());
  const Floats scale = uniform(2, channels, 0.5, 2.0), shift = uniform(3, channels);
  const Floats targets = uniform(4, kCount * kTargets);
  std::vector<std::uint16_t> labels;
  for (const float draw : uniform(5, kCount, 0.0, 60000.0)) {
    labels.push_back(static_cast<std::uint16_t>(draw));
  }
  const RandomKey key{.seed = 8, .purpose = RandomPurpose::kMinibatch, .task = 2, .step = 4};
  return {"gather_minibatch",
          fmt::format("{}{}{}_B{}_R{}_{}x{}", has_bytes ? "bytes" : "floats",
                      has_labels ? "_labels" : "", has_targets ? "_targets" : "", batch, rows,
                      pixels, channels),
          tolerance::kElement,
          [=](OpRun& run) {
            GatherMinibatchArgs args;
            args.key = run.in(std::vector<RandomKey>{key});
            args.step = 6;
            args.batch = batch;
            args.rows = rows;
            args.count = kCount;
            args.row_size = row_size;
            args.channels = channels;
            if (has_bytes) {
              args.bytes = run.in(as_bytes);
            } else {
              args.values = run.in(values);
            }
            args.scale = run.in(scale);
            args.shift = run.in(shift);
            const auto all_rows = static_cast<std::size_t>(batch * rows);
            args.minibatch = run.out(all_rows * static_cast<std::size_t>(row_size));
            if (has_labels) {
              args.labels = run.in(labels);
              args.minibatch_labels = run.out_integers(all_rows);
            }
            if (has_targets) {
              args.targets = run.in(targets);
              args.target_size = kTargets;
              args.minibatch_targets = run.out(all_rows * kTargets);
            }
            run.costs(args);
            run.backend().gather_minibatch(args);
          },
          [=] {
            Doubles inputs, expected_labels, expected_targets;
            for (int task = 0; task < batch; ++task) {
              const RandomKey task_key{key.seed, key.purpose,
                                       key.task + static_cast<std::uint32_t>(task), key.step + 6};
              for (int row = 0; row < rows; ++row) {
                const double draw =
                    uniform_from_bits(random_bits(task_key, static_cast<std::uint64_t>(row)));
                const auto source = static_cast<std::size_t>(draw * kCount);
                for (int i = 0; i < row_size; ++i) {
                  const std::size_t at =
                      source * static_cast<std::size_t>(row_size) + static_cast<std::size_t>(i);
                  const double value =
                      has_bytes ? static_cast<double>(as_bytes[at]) : double{values[at]};
                  const auto c = static_cast<std::size_t>(i % channels);
                  inputs.push_back(value * scale[c] + double{shift[c]});
                }
                expected_labels.push_back(labels[source]);
                for (std::size_t i = 0; i < kTargets; ++i) {
                  expected_targets.push_back(targets[source * kTargets + i]);
                }
              }
            }
            std::vector<Doubles> expected = {inputs};
            if (has_labels) expected.push_back(expected_labels);
            if (has_targets) expected.push_back(expected_targets);
            return expected;
          }};
}

OpCase quadratic_case(int batch, int functions, int dimension, std::int64_t gap) {
  const std::int64_t task_size = std::int64_t{functions} * dimension, stride = task_size + gap;
  const Floats matrices = uniform(1, batch * task_size * dimension),
               targets = uniform(2, batch * task_size);
  const Floats theta = uniform(3, batch * stride);
  return {
      "quadratic", fmt::format("B{}_F{}_D{}", batch, functions, dimension), tolerance::kQuadratic,
      [=](OpRun& run) {
        QuadraticArgs args;
        args.batch = batch;
        args.functions = functions;
        args.dimension = dimension;
        args.scale = 0.25F;
        args.matrices = run.in(matrices);
        args.targets = run.in(targets);
        args.theta = run.in(theta);
        args.gradient = run.out(theta.size());
        args.stride = stride;
        args.loss = run.out(static_cast<std::size_t>(batch));
        run.costs(args);
        run.backend().quadratic(args);
      },
      [=] {
        Doubles gradient(theta.size(), kUntouched), loss(static_cast<std::size_t>(batch));
        for (std::int64_t task = 0; task < batch; ++task) {
          for (std::int64_t i = 0; i < task_size; ++i) {
            gradient[static_cast<std::size_t>(task * stride + i)] = 0.0;
          }
          for (std::int64_t row = 0; row < task_size; ++row) {
            const std::int64_t first = row / dimension * dimension;
            const float* w = matrices.data() + (task * task_size + row) * dimension;
            double residual = -double{targets[static_cast<std::size_t>(task * task_size + row)]};
            for (int j = 0; j < dimension; ++j) {
              residual += double{w[j]} * theta[static_cast<std::size_t>(task * stride + first + j)];
            }
            loss[static_cast<std::size_t>(task)] += 0.25 * residual * residual;
            for (int j = 0; j < dimension; ++j) {
              gradient[static_cast<std::size_t>(task * stride + first + j)] +=
                  0.25 * 2.0 * residual * w[j];
            }
          }
        }
        return std::vector<Doubles>{gradient, loss};
      }};
}

}  // namespace

std::vector<OpCase> dense_cases() {
  std::vector<OpCase> cases;
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      cases.push_back(gemm_case(transpose_a, transpose_b, 1, 1, 1, 1));
      cases.push_back(gemm_case(transpose_a, transpose_b, 33, 20, 70, 3));
      cases.push_back(gemm_case(transpose_a, transpose_b, 130, 9, 17, 2));
      cases.push_back(gemm_case(transpose_a, transpose_b, 5, 37, 784, 1));
    }
  }
  for (const Activation activation : kActivations) {
    if (!slope_depends_only_on_output(activation)) continue;
    add_bias_cases(activation, 1, 128, 20, 0, cases);
    add_bias_cases(activation, 3, 5, 33, 2, cases);
  }
  add_bias_cases(Activation::kRelu, 1, 5000, 16, 0, cases);
  for (const bool has_bytes : {true, false}) {
    for (const auto& [has_labels, has_targets] :
         {std::pair(true, false), {false, true}, {true, true}, {false, false}}) {
      cases.push_back(gather_minibatch_case(has_bytes, has_labels, has_targets, 1, 1, 1, 1));
      cases.push_back(gather_minibatch_case(has_bytes, has_labels, has_targets, 2, 33, 49, 1));
      cases.push_back(gather_minibatch_case(has_bytes, has_labels, has_targets, 3, 8, 20, 3));
    }
  }
  cases.push_back(quadratic_case(1, 1, 1, 0));
  cases.push_back(quadratic_case(2, 3, 5, 4));
  cases.push_back(quadratic_case(1, 2, 40, 1));
  return cases;
}

}  // namespace l2o::test
