// The statistics of a suite: final losses, means, ratios and summaries of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace l2o {

/// One evaluation uses one minibatch, so the final loss of a run is the mean over its last few.
inline constexpr int kFinalEvaluations = 20;

/// Mean over the last kFinalEvaluations values of a curve, or over all values of a shorter one.
double final_loss(const std::vector<float>& curve);

double mean_of(const std::vector<double>& values);
/// Standard error of the mean; 0 for one value.
double standard_error(const std::vector<double>& values);
/// Mean of the middle half: without the floor(n / 4) lowest and the floor(n / 4) highest values;
/// non-finite values count as the highest.
double interquartile_mean(std::vector<double> values);

struct Ratio {
  double value;  ///< ratio of the means; infinite if the first mean is non-finite
  double se;     ///< standard error, from the differences a_i - value * b_i: the tasks are paired
};
/// Returns std::nullopt if the second mean is non-finite or not positive, and so meaningless as a
/// denominator.
std::optional<Ratio> ratio_of(const std::vector<double>& a, const std::vector<double>& b);

/// Returns the first step t such that the mean of evaluations t - kFinalEvaluations + 1 .. t, at
/// the start of the curve 0 .. t, is at most `loss`; std::nullopt if there is no such step.
std::optional<int> steps_to_reach(const std::vector<double>& curve, double loss);

/// Maximum number of points of a thinned curve.
inline constexpr int kCurvePoints = 100;

/// Thins a curve of n = steps + 1 evaluations to P = min(n, kCurvePoints) points: point p is the
/// mean over evaluations floor(p n / P) .. floor((p + 1) n / P) - 1.
std::vector<double> thinned_curve(const std::vector<double>& curve);
/// The step at which each of these points lies: the middle of the evaluations that it averages.
std::vector<double> thinned_steps(int steps);

/// Returns the geometric mean of the ratios: 1 for an empty list, infinity if any ratio is
/// infinite, and otherwise 0 if any ratio is 0.
double geometric_mean(const std::vector<double>& ratios);

}  // namespace l2o
