// Losses, and terms that are added to them.
#include <fmt/format.h>

#include <algorithm>

#include "tests/ops/op_case.h"
#include "tests/support/tolerances.h"

namespace l2o::test {
namespace {

OpCase cross_entropy_case(int batch, int rows, int classes) {
  const Floats logits = uniform(1, std::int64_t{batch} * rows * classes, -5.0, 5.0);
  std::vector<std::uint16_t> labels;
  for (const float draw : uniform(2, std::int64_t{batch} * rows, 0.0, classes)) {
    labels.push_back(static_cast<std::uint16_t>(draw));
  }
  return {"softmax_cross_entropy", fmt::format("B{}_R{}_K{}", batch, rows, classes),
          tolerance::kSoftmax,
          [=](OpRun& run) {
            SoftmaxCrossEntropyArgs args;
            args.batch = batch;
            args.rows = rows;
            args.classes = classes;
            args.logits = run.in_place(logits);
            args.labels = run.in(labels);
            args.loss = run.out(static_cast<std::size_t>(batch));
            run.costs(args);
            run.backend().softmax_cross_entropy(args);
          },
          [=] {
            Doubles gradient(logits.size()), loss(static_cast<std::size_t>(batch));
            for (std::size_t row = 0; row < labels.size(); ++row) {
              const float* z = logits.data() + row * static_cast<std::size_t>(classes);
              double sum = 0.0;
              for (int j = 0; j < classes; ++j) sum += std::exp(double{z[j]});
              for (int j = 0; j < classes; ++j) {
                gradient[row * static_cast<std::size_t>(classes) + static_cast<std::size_t>(j)] =
                    (std::exp(double{z[j]}) / sum - (j == labels[row] ? 1.0 : 0.0)) / rows;
              }
              loss[row / static_cast<std::size_t>(rows)] += (std::log(sum) - z[labels[row]]) / rows;
            }
            return std::vector<Doubles>{gradient, loss};
          }};
}

OpCase squared_error_case(int batch, int rows, int columns) {
  const std::int64_t count = std::int64_t{batch} * rows * columns;
  const Floats values = uniform(1, count, -2.0, 2.0), targets = uniform(2, count);
  return {"mean_squared_error", fmt::format("B{}_R{}_C{}", batch, rows, columns),
          tolerance::kElement,
          [=](OpRun& run) {
            MeanSquaredErrorArgs args;
            args.batch = batch;
            args.rows = rows;
            args.columns = columns;
            args.values = run.in_place(values);
            args.targets = run.in(targets);
            args.loss = run.out(static_cast<std::size_t>(batch));
            run.costs(args);
            run.backend().mean_squared_error(args);
          },
          [=] {
            Doubles gradient(values.size()), loss(static_cast<std::size_t>(batch));
            const double of_task = double{static_cast<double>(rows)} * columns;
            for (std::size_t i = 0; i < values.size(); ++i) {
              const double distance = double{values[i]} - targets[i];
              gradient[i] = 2.0 * distance / of_task;
              loss[i / static_cast<std::size_t>(of_task)] += distance * distance / of_task;
            }
            return std::vector<Doubles>{gradient, loss};
          }};
}

/// Blocks of `count` values, `gap` apart.
struct Blocks {
  int batch;
  std::int64_t count, gap;
  std::int64_t stride() const { return count + gap; }
  bool is_inside(std::size_t i) const { return static_cast<std::int64_t>(i) % stride() < count; }
  std::size_t task_of(std::size_t i) const {
    return static_cast<std::size_t>(static_cast<std::int64_t>(i) / stride());
  }
};

OpCase l2_penalty_case(const Blocks& blocks) {
  constexpr float kWeight = 0.125F;
  const Floats theta = uniform(1, blocks.batch * blocks.stride());
  const Floats gradient = uniform(2, blocks.batch * blocks.stride());
  const Floats loss = uniform(3, blocks.batch, 0.0, 2.0);
  return {"l2_penalty", fmt::format("B{}_N{}_gap{}", blocks.batch, blocks.count, blocks.gap),
          tolerance::kElement,
          [=](OpRun& run) {
            L2PenaltyArgs args;
            args.weight = kWeight;
            args.batch = blocks.batch;
            args.count = blocks.count;
            args.theta = run.in(theta);
            args.gradient = run.in_place(gradient);
            args.stride = blocks.stride();
            args.loss = run.in_place(loss);
            run.costs(args);
            run.backend().l2_penalty(args);
          },
          [=] {
            Doubles slope(gradient.begin(), gradient.end()), sum(loss.begin(), loss.end());
            for (std::size_t i = 0; i < theta.size(); ++i) {
              if (!blocks.is_inside(i)) continue;
              slope[i] += kWeight * double{theta[i]};
              sum[blocks.task_of(i)] += 0.5 * kWeight * double{theta[i]} * theta[i];
            }
            return std::vector<Doubles>{slope, sum};
          }};
}

OpCase clipped_squares_case(const Blocks& blocks) {
  const Floats theta = uniform(1, blocks.batch * blocks.stride(), -8.0, 8.0);
  const Floats centers = uniform(2, blocks.batch * blocks.count);
  const Floats loss = uniform(3, blocks.batch, 0.0, 2.0);
  return {"clipped_squares", fmt::format("B{}_N{}_gap{}", blocks.batch, blocks.count, blocks.gap),
          tolerance::kElement,
          [=](OpRun& run) {
            ClippedSquaresArgs args;
            args.batch = blocks.batch;
            args.count = blocks.count;
            args.centers = run.in(centers);
            args.theta = run.in(theta);
            args.gradient = run.out(theta.size());
            args.stride = blocks.stride();
            args.loss = run.in_place(loss);
            run.costs(args);
            run.backend().clipped_squares(args);
          },
          [=] {
            Doubles slope(theta.size(), kUntouched), sum(loss.begin(), loss.end());
            for (std::size_t i = 0; i < theta.size(); ++i) {
              if (!blocks.is_inside(i)) continue;
              const std::size_t task = blocks.task_of(i);
              const std::size_t center_index = i - task * static_cast<std::size_t>(blocks.gap);
              const double distance = double{theta[i]} - centers[center_index];
              const bool is_clipped = distance * distance > 10.0;
              slope[i] = is_clipped ? 0.0 : 2.0 * distance / static_cast<double>(blocks.count);
              sum[task] += std::min(distance * distance, 10.0) / static_cast<double>(blocks.count);
            }
            return std::vector<Doubles>{slope, sum};
          }};
}

}  // namespace

std::vector<OpCase> loss_cases() {
  std::vector<OpCase> cases = {
      cross_entropy_case(1, 1, 2),     cross_entropy_case(3, 17, 10),
      cross_entropy_case(1, 2500, 3),  cross_entropy_case(2, 5, 1000),
      squared_error_case(1, 1, 1),     squared_error_case(3, 7, 33),
      squared_error_case(1, 1300, 20),
  };
  for (const Blocks& blocks : {Blocks{1, 1, 0}, Blocks{3, 70, 5}, Blocks{2, 9000, 1}}) {
    cases.push_back(l2_penalty_case(blocks));
    cases.push_back(clipped_squares_case(blocks));
  }
  return cases;
}

}  // namespace l2o::test
