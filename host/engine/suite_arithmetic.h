// The numbers of a suite: final losses, their means, ratios and what is made of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace l2o {

/// One evaluation is a minibatch's; so the final loss of a run is the mean over its last ones.
inline constexpr int kFinalEvaluations = 20;

/// Mean over the last kFinalEvaluations of a curve, or over all of a shorter one.
double final_loss(const std::vector<float>& curve);

double mean_of(const std::vector<double>& values);
/// Standard error of the mean; 0 of one value.
double standard_error(const std::vector<double>& values);
/// Mean of the middle half: without the floor(n / 4) lowest and as many of the highest values, of
/// which non-finite ones are the highest.
double interquartile_mean(std::vector<double> values);

struct Ratio {
  double value;  ///< of the means; infinite where the first one is not finite
  double se;     ///< of the ratio, by the differences a_i - value b_i: the runs are the same tasks
};
/// None where the second mean is not finite or not above 0: nothing can be measured by it.
std::optional<Ratio> ratio_of(const std::vector<double>& a, const std::vector<double>& b);

/// The first step t at which the mean over the last kFinalEvaluations evaluations up to t is at
/// most `loss`; none where that is never.
std::optional<int> steps_to_reach(const std::vector<double>& curve, double loss);

/// At most kCurvePoints points of a curve of steps + 1 evaluations: point p is the mean over
/// evaluations floor(p n / P) .. floor((p + 1) n / P) - 1, at their middle.
inline constexpr int kCurvePoints = 100;
std::vector<double> thinned_curve(const std::vector<double>& curve);
/// The steps at which the points lie.
std::vector<double> thinned_steps(int steps);

/// The geometric mean; 1 of nothing. 0 and infinity stay what they are.
double geometric_mean(const std::vector<double>& ratios);

}  // namespace l2o
