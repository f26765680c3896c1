// An evaluation as a picture, drawn by gnuplot.
#pragma once

#include <string>

#include "host/engine/evaluator.h"

namespace l2o {

/// Throws kUsage unless `path` ends with .svg or .png.
void require_picture_name(const std::string& path);

/// What plot_report feeds to gnuplot, which draws on its stdout: loss against step on a logarithmic
/// scale, a line for every optimizer's mean in a band of one standard error, the learned rule the
/// boldest.
std::string plot_script(const EvaluationReport& report, const std::string& path);

/// Draws the curves into an SVG or PNG file. False where gnuplot is not installed; throws
/// kInputOutput where it fails.
bool plot_report(const EvaluationReport& report, const std::string& path);

}  // namespace l2o
