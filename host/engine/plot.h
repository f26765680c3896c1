// Plots an evaluation with gnuplot.
#pragma once

#include <string>

#include "host/engine/evaluator.h"

namespace l2o {

/// Throws kUsage unless `path` ends with .svg or .png.
void require_image_name(const std::string& path);

/// Returns the script that plot_report passes to gnuplot, which draws to its stdout: loss against
/// step on a logarithmic scale, a line for every optimizer's mean in a band of one standard error,
/// the learned rule's the boldest.
std::string plot_script(const EvaluationReport& report, const std::string& path);

/// Draws the curves into an SVG or PNG file. Returns false if gnuplot is not installed; throws
/// kInputOutput if it fails.
bool plot_report(const EvaluationReport& report, const std::string& path);

}  // namespace l2o
