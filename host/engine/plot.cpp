#include "host/engine/plot.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>
#include <sstream>
#include <string_view>
#include <vector>

#include "host/core/atomic_file.h"
#include "host/core/error.h"
#include "host/core/file_descriptor.h"
#include "host/core/text.h"

namespace l2o {
namespace {

// Okabe and Ito's palette, safe for color-blind readers; the first is the learned rule's.
constexpr std::array<std::string_view, 8> kColors = {"#D55E00", "#0072B2", "#009E73", "#CC79A7",
                                                     "#E69F00", "#56B4E9", "#666666", "#000000"};

constexpr std::size_t kMaxImageBytes = std::size_t{1} << 30;

struct LossRange {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  bool logarithmic = true;
};

/// The range of the vertical axis. A rule that diverges may leave the plot at the top: ten times
/// the initial loss.
LossRange loss_range(const EvaluationReport& report) {
  LossRange range;
  double start = -std::numeric_limits<double>::infinity();
  for (const OptimizerResult& result : report.optimizers) {
    if (std::isfinite(result.curve_mean.front())) {
      start = std::max(start, result.curve_mean.front());
    }
    for (const double mean : result.curve_mean) {
      if (!std::isfinite(mean)) continue;
      range.low = std::min(range.low, mean);
      range.high = std::max(range.high, mean);
    }
  }
  if (!(range.low <= range.high)) return {0.1, 1.0, true};  // nothing is finite: empty axes
  if (start > 0.0) range.high = std::min(range.high, 10.0 * start);
  range.logarithmic = range.low > 0.0;
  return range;
}

/// Ticks at 1, 2 and 5 in every decade if few decades are shown, otherwise one per decade.
std::string logarithmic_ticks(const LossRange& range) {
  const int first = static_cast<int>(std::floor(std::log10(range.low))) - 1;
  const int last = static_cast<int>(std::ceil(std::log10(range.high))) + 1;
  if (last - first > 6) return "set format y '10^{%T}'\n";
  std::string ticks;
  for (int decade = first; decade <= last; ++decade) {
    for (const int digit : {1, 2, 5}) {
      ticks += fmt::format("{}{:g}", ticks.empty() ? "" : ", ", digit * std::pow(10.0, decade));
    }
  }
  return fmt::format("set format y '%g'\nset ytics ({})\n", ticks);
}

/// `text` in single quotes; gnuplot reads two of them inside as one. A control character becomes a
/// space: a newline would end the quotes, and what follows could be a command.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    out += is_control(c) ? ' ' : c;
    if (c == '\'') out += c;
  }
  return out + "'";
}

/// A data block of rows "step mean low high".
std::string data_block(const OptimizerResult& result, std::size_t number, const LossRange& range) {
  std::string block = fmt::format("$data{} << EOD\n", number);
  for (std::size_t t = 0; t < result.curve_mean.size(); ++t) {
    const double mean = result.curve_mean[t];
    const double se = result.curve_se[t];
    if (!std::isfinite(mean) || !std::isfinite(se)) {
      block += fmt::format("{} NaN NaN NaN\n", t);
      continue;
    }
    // On a logarithmic axis, a band that reaches zero would be unbounded.
    const double low = range.logarithmic ? std::max(mean - se, range.low / 100.0) : mean - se;
    block += fmt::format("{} {} {} {}\n", t, mean, low, mean + se);
  }
  return block + "EOD\n";
}

bool gnuplot_is_installed() {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (access((directory + "/gnuplot").c_str(), X_OK) == 0) return true;
  }
  return false;
}

/// Whether the end of the file is present: gnuplot does not report incomplete writes.
bool is_whole_image(std::span<const std::byte> bytes) {
  constexpr std::size_t kEnd = 16;
  const std::span<const std::byte> end = bytes.last(std::min(kEnd, bytes.size()));
  const std::string_view text(reinterpret_cast<const char*>(end.data()), end.size());
  return text.find("</svg>") != std::string_view::npos ||
         text.find("IEND") != std::string_view::npos;
}

}  // namespace

void require_image_name(const std::string& path) {
  if (!path.ends_with(".svg") && !path.ends_with(".png")) {
    throw Error(Status::kUsage,
                "plot " + path + ": expected a file name that ends in .svg or .png");
  }
}

std::string plot_script(const EvaluationReport& report, const std::string& path) {
  require_image_name(path);
  const LossRange range = loss_range(report);
  // The two terminals measure fonts in pixels; the PNG is drawn at one and a half times the size.
  std::string script = path.ends_with(".svg")
                           ? "set terminal svg size 900,600 dynamic enhanced font 'Helvetica,16' "
                             "background '#FFFFFF'\n"
                           : "set terminal pngcairo size 1350,900 enhanced font 'Helvetica,20' "
                             "linewidth 1.5\n";
  for (std::size_t i = 0; i < report.optimizers.size(); ++i) {
    script += data_block(report.optimizers[i], i, range);
  }
  script += fmt::format(
      "set title {} noenhanced\n"
      "set xlabel 'step'\n"
      "set ylabel 'loss: mean and standard error of {} tasks'\n"
      "set xrange [0:{}]\n"
      "set border 3 linecolor '#444444'\n"
      "set tics nomirror out\n"
      "set grid ytics linecolor '#DDDDDD' linetype 1 linewidth 0.5\n"
      "set style fill transparent solid 0.2 noborder\n"
      "set key outside right center vertical Left reverse spacing 1.3\n",
      quoted(report.task), report.runs, std::max(report.steps, 1));
  if (range.logarithmic) {
    script += "set logscale y\n" + logarithmic_ticks(range);
    script += fmt::format("set yrange [{:g}:{:g}]\n", range.low * 0.8, range.high * 1.25);
  }
  std::string plots;
  const auto add = [&](const std::string& plot) { plots += (plots.empty() ? "" : ", ") + plot; };
  for (std::size_t i = 0; i < report.optimizers.size(); ++i) {
    add(fmt::format("$data{} using 1:3:4 with filledcurves linecolor '{}' notitle", i,
                    kColors[i % kColors.size()]));
  }
  // The learned rule comes first in the legend and is drawn again last, on top of the others.
  for (std::size_t i = 0; i < report.optimizers.size(); ++i) {
    const OptimizerResult& result = report.optimizers[i];
    add(fmt::format("$data{} using 1:2 with lines linecolor '{}' linewidth {} title {} noenhanced",
                    i, kColors[i % kColors.size()], result.learning_rate ? 2 : 4,
                    quoted(result.name)));
  }
  add(fmt::format("$data0 using 1:2 with lines linecolor '{}' linewidth 4 notitle", kColors[0]));
  return script + "plot " + plots + "\n";
}

bool plot_report(const EvaluationReport& report, const std::string& path) {
  const std::string script = plot_script(report, path);
  if (!gnuplot_is_installed()) return false;
  const Error failed(Status::kInputOutput, "gnuplot could not draw " + path);
  // An unnamed file, so that a failed plot leaves an earlier one untouched.
  const std::unique_ptr<std::FILE, decltype(&std::fclose)> image(std::tmpfile(), std::fclose);
  if (!image) throw system_error("create a temporary file for", path, errno);
  const std::string image_path = fmt::format("/proc/self/fd/{}", fileno(image.get()));
  std::FILE* gnuplot = popen(("gnuplot > " + image_path).c_str(), "w");
  if (gnuplot == nullptr) throw failed;
  const bool written = std::fwrite(script.data(), 1, script.size(), gnuplot) == script.size();
  if (pclose(gnuplot) != 0 || !written) throw failed;
  const std::vector<std::byte> bytes = read_file(image_path, kMaxImageBytes);
  if (!is_whole_image(bytes)) throw failed;
  write_file_atomically(path, bytes);
  return true;
}

}  // namespace l2o
