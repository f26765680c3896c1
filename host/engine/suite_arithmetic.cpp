#include "host/engine/suite_arithmetic.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace l2o {
namespace {

/// The first evaluation of every point, and the end of the last point.
std::vector<std::size_t> point_borders(std::size_t evaluations) {
  const std::size_t points = std::min<std::size_t>(evaluations, kCurvePoints);
  std::vector<std::size_t> borders;
  for (std::size_t p = 0; p <= points; ++p) borders.push_back(p * evaluations / points);
  return borders;
}

double sum_of(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum;
}

}  // namespace

double final_loss(const std::vector<float>& curve) {
  const std::size_t count = std::min<std::size_t>(curve.size(), kFinalEvaluations);
  double sum = 0.0;
  for (std::size_t t = curve.size() - count; t < curve.size(); ++t) {
    sum += static_cast<double>(curve[t]);
  }
  return sum / static_cast<double>(count);
}

double mean_of(const std::vector<double>& values) {
  return sum_of(values) / static_cast<double>(values.size());
}

double standard_error(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  if (n < 2.0) return 0.0;
  const double mean = mean_of(values);
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (n - 1.0) / n);
}

double interquartile_mean(std::vector<double> values) {
  for (double& value : values) {
    if (!std::isfinite(value)) value = std::numeric_limits<double>::infinity();
  }
  std::sort(values.begin(), values.end());
  const auto cut = static_cast<std::ptrdiff_t>(values.size() / 4);
  return mean_of({values.begin() + cut, values.end() - cut});
}

std::optional<Ratio> ratio_of(const std::vector<double>& a, const std::vector<double>& b) {
  const double denominator = mean_of(b);
  if (!std::isfinite(denominator) || denominator <= 0.0) return std::nullopt;
  Ratio ratio{.value = mean_of(a) / denominator, .se = 0.0};
  if (!std::isfinite(ratio.value)) return Ratio{std::numeric_limits<double>::infinity(), 0.0};
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - ratio.value * b[i]);
  ratio.se = standard_error(differences) / denominator;
  return ratio;
}

std::optional<int> steps_to_reach(const std::vector<double>& curve, double loss) {
  for (std::size_t t = 0; t < curve.size(); ++t) {
    const std::size_t count = std::min<std::size_t>(t + 1, kFinalEvaluations);
    // Summed from scratch each time: a running sum would keep non-finite values.
    double sum = 0.0;
    for (std::size_t i = t + 1 - count; i <= t; ++i) sum += curve[i];
    if (sum / static_cast<double>(count) <= loss) return static_cast<int>(t);
  }
  return std::nullopt;
}

std::vector<double> thinned_curve(const std::vector<double>& curve) {
  const std::vector<std::size_t> borders = point_borders(curve.size());
  std::vector<double> points;
  for (std::size_t p = 0; p + 1 < borders.size(); ++p) {
    double sum = 0.0;
    for (std::size_t t = borders[p]; t < borders[p + 1]; ++t) sum += curve[t];
    points.push_back(sum / static_cast<double>(borders[p + 1] - borders[p]));
  }
  return points;
}

std::vector<double> thinned_steps(int steps) {
  const std::vector<std::size_t> borders = point_borders(static_cast<std::size_t>(steps) + 1);
  std::vector<double> middles;
  for (std::size_t p = 0; p + 1 < borders.size(); ++p) {
    middles.push_back(0.5 * static_cast<double>(borders[p] + borders[p + 1] - 1));
  }
  return middles;
}

double geometric_mean(const std::vector<double>& ratios) {
  double sum = 0.0;
  for (const double ratio : ratios) {
    if (std::isinf(ratio)) return ratio;
    sum += std::log(ratio);
  }
  return ratios.empty() ? 1.0 : std::exp(sum / static_cast<double>(ratios.size()));
}

}  // namespace l2o
