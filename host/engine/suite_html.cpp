#include "host/engine/suite_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "host/engine/suite_report.h"
#include "host/engine/suite_style.h"

namespace l2o {
namespace {

// In the charts' own units; the page scales them.
constexpr double kWidth = 320.0, kHeight = 200.0;
constexpr double kLeft = 44.0, kRight = 6.0, kTop = 6.0, kBottom = 20.0;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kPlotHeight = kHeight - kTop - kBottom;
constexpr std::size_t kMaxTicks = 6;

/// A contestant with the CSS class of its line.
struct Line {
  const Contestant* contestant;
  std::string css;
};

/// The learned rules come last, so that they are drawn on top of the others.
std::vector<Line> lines_of(const Contest& contest) {
  std::vector<Line> lines;
  if (contest.reference) lines.push_back({&*contest.reference, "ref"});
  for (std::size_t i = 0; i < contest.baselines.size(); ++i) {
    lines.push_back({&contest.baselines[i], fmt::format("b{}", i % kBaselineColors)});
  }
  for (std::size_t i = 0; i < contest.learned.size(); ++i) {
    lines.push_back({&contest.learned[i], fmt::format("learned l{}", i % kLearnedColors)});
  }
  return lines;
}

/// The vertical axis, logarithmic.
class LossAxis {
 public:
  /// A rule that diverges may leave the chart at the top, three times the initial loss, and one
  /// that reaches 0 at the bottom, a hundred-millionth of that.
  explicit LossAxis(const std::vector<Line>& lines) {
    double low = std::numeric_limits<double>::infinity(), high = 0.0, start = 0.0;
    for (const Line& line : lines) {
      for (const double loss : line.contestant->curve) {
        if (!std::isfinite(loss) || loss <= 0.0) continue;
        low = std::min(low, loss);
        high = std::max(high, loss);
      }
      const double first = line.contestant->curve.front();
      if (std::isfinite(first)) start = std::max(start, first);
    }
    if (high == 0.0) low = high = 1.0;  // nothing to show: empty axes
    if (start > 0.0) high = std::min(high, 3.0 * start);
    low = std::max(std::min(low, high / 1.5), high * 1e-8);
    const double margin = 0.04 * std::log10(high / low);
    low_ = std::log10(low) - margin;
    high_ = std::log10(high) + margin;
  }

  /// Distance from the top of the plot.
  double y(double loss) const {
    return kPlotHeight * (high_ - std::log10(std::max(loss, 1e-300))) / (high_ - low_);
  }

  /// As many round numbers as fit.
  std::vector<double> ticks() const {
    const std::vector<double> digits[] = {
        {1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 5}, {1, 3}};
    for (const std::vector<double>& wanted : digits) {
      std::vector<double> ticks = round_numbers(wanted, 1);
      if (ticks.size() <= kMaxTicks) return ticks.size() > 1 ? ticks : ends();
    }
    for (int stride = 1;; ++stride) {
      std::vector<double> ticks = round_numbers({1}, stride);
      if (ticks.size() <= kMaxTicks) return ticks;
    }
  }

 private:
  /// These digits in every stride-th decade, if within the range.
  std::vector<double> round_numbers(const std::vector<double>& digits, int stride) const {
    std::vector<double> numbers;
    const int last = static_cast<int>(std::ceil(high_));
    for (int decade = static_cast<int>(std::floor(low_)); decade <= last; ++decade) {
      if (decade % stride != 0) continue;
      for (const double digit : digits) {
        const double at = decade + std::log10(digit);
        if (at >= low_ && at <= high_) numbers.push_back(std::pow(10.0, at));
      }
    }
    return numbers;
  }
  /// Used if fewer than two round numbers are within the range.
  std::vector<double> ends() const { return {std::pow(10.0, low_), std::pow(10.0, high_)}; }

  double low_, high_;  // log10
};

/// One line for each stretch of finite losses.
std::string polylines(const Line& line, const LossAxis& axis, const std::vector<double>& steps,
                      double last_step) {
  std::string out, points;
  const auto finish = [&] {
    if (!points.empty()) {
      out += fmt::format("<polyline class=\"{}\" points=\"{}\"><title>{}</title></polyline>",
                         line.css, points, html_escaped(line.contestant->name));
    }
    points.clear();
  };
  for (std::size_t p = 0; p < steps.size(); ++p) {
    const double loss = line.contestant->curve[p];
    if (!std::isfinite(loss)) {
      finish();
      continue;
    }
    // Points far outside are not visible; unbounded numbers would break viewers.
    const double y = std::clamp(axis.y(loss), -kPlotHeight, 2.0 * kPlotHeight);
    points += fmt::format("{}{:.1f},{:.1f}", points.empty() ? "" : " ",
                          kPlotWidth * steps[p] / last_step, y);
  }
  finish();
  return out;
}

std::string chart(const Contest& contest) {
  const std::vector<Line> lines = lines_of(contest);
  const LossAxis axis(lines);
  std::string out = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"loss against step: {}, {} steps\">",
      kWidth, kHeight, html_escaped(contest.member), contest.steps);
  for (const double tick : axis.ticks()) {
    const double y = kTop + axis.y(tick);
    out += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.3g}</text>",
        kLeft, kWidth - kRight, y, y, kLeft - 5.0, y + 3.5, tick);
  }
  const char* const anchors[] = {"start", "middle", "end"};
  for (int i = 0; i <= 2; ++i) {
    out +=
        fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
                    kLeft + kPlotWidth * i / 2.0, kHeight - 5.0, anchors[i], contest.steps * i / 2);
  }
  // A nested svg clips lines at the border of the plot.
  out += fmt::format("<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">", kLeft, kTop, kPlotWidth,
                     kPlotHeight);
  const std::vector<double> steps = thinned_steps(contest.steps);
  for (const Line& line : lines) out += polylines(line, axis, steps, contest.steps);
  return out + "</svg></svg>";
}

/// "good" below 1, otherwise "bad".
const char* verdict(double ratio) { return ratio < 1.0 ? "good" : "bad"; }

std::string ratio_span(const std::optional<Ratio>& ratio) {
  if (!ratio) return "-";
  return fmt::format("<b class=\"{}\">{}</b>", verdict(ratio->value), ratio_text(ratio));
}

std::string figure(const Contest& contest, bool several_models) {
  std::string out = fmt::format("<figure><figcaption><b>{}</b>, {} steps",
                                html_escaped(contest.member), contest.steps);
  for (const Contestant& learned : contest.learned) {
    out += fmt::format("<span>{}{} of {}</span>",
                       several_models ? html_escaped(learned.name) + ": " : "",
                       ratio_span(learned.ratio),
                       contest.best ? html_escaped(tuned_text(contest.baselines[*contest.best]))
                                    : "nothing: every baseline diverged");
  }
  return out + "</figcaption>" + chart(contest) + "</figure>\n";
}

std::string tile(const Summary& summary, const std::string& reference) {
  const auto shown = [](double value, int of) {
    return of > 0 ? ratio_text(Ratio{value, 0.0}) : std::string("-");
  };
  std::string out = fmt::format(
      "<div class=\"tile\"><span>{}</span><b class=\"{}\">{}</b><span>worst {}: {}{}</span>"
      "<span>{} of {} won</span>",
      summary.steps ? fmt::format("{} steps", *summary.steps) : "over all",
      verdict(summary.geometric_mean), shown(summary.geometric_mean, summary.contests),
      shown(summary.worst, summary.contests), html_escaped(summary.worst_member),
      summary.steps ? "" : fmt::format(" at {}", summary.worst_steps), summary.wins,
      summary.contests);
  if (!reference.empty()) {
    out += fmt::format("<span>to {}: {}, worst {}</span>", html_escaped(reference),
                       shown(summary.reference_geometric_mean, summary.reference_contests),
                       shown(summary.reference_worst, summary.reference_contests));
  }
  return out + "</div>\n";
}

std::string tiles(const SuiteReport& report) {
  std::string out;
  std::string model;
  for (const Summary& summary : report.summaries()) {
    if (summary.model != model) {
      out += fmt::format("{}<h3>{}</h3>\n<div class=\"tiles\">\n", model.empty() ? "" : "</div>\n",
                         html_escaped(summary.model));
      model = summary.model;
    }
    out += tile(summary, report.reference);
  }
  return out + "</div>\n";
}

std::string legend(const Contest& any) {
  std::string out = "<div class=\"legend\">";
  std::vector<Line> lines = lines_of(any);
  std::stable_partition(lines.begin(), lines.end(),
                        [](const Line& line) { return line.css.starts_with("learned"); });
  for (const Line& line : lines) {
    out += fmt::format(
        "<span><svg viewBox=\"0 0 28 8\" aria-hidden=\"true\"><line class=\"key {}\" x1=\"0\" "
        "x2=\"28\" "
        "y1=\"4\" y2=\"4\"/></svg>{}</span>",
        line.css, html_escaped(line.contestant->name));
  }
  return out + "</div>\n";
}

std::string cell(const std::string& text, const char* css = "") {
  return fmt::format("<td{}>{}</td>", *css == '\0' ? "" : fmt::format(" class=\"{}\"", css),
                     html_escaped(text));
}

std::string table(const SuiteReport& report) {
  const Contest& any = report.contests.front();
  std::string out = "<div class=\"scroll\"><table>\n<tr><th>task</th><th>steps</th>";
  const auto head = [&](const std::string& text) {
    out += fmt::format("<th>{}</th>", html_escaped(text));
  };
  for (const std::string& model : report.models) {
    const std::string whose = report.models.size() > 1 ? model + " " : "";
    head(model);
    head(whose + "to best");
    head("+-");
    if (!report.reference.empty()) head(whose + "to " + report.reference);
    head(whose + "steps to best");
  }
  head("best baseline");
  for (const Contestant& baseline : any.baselines) head(baseline.name);
  if (!report.reference.empty()) head(report.reference);
  out += "</tr>\n";
  for (const Contest& contest : report.contests) {
    out += "<tr>" + cell(contest.member) + cell(fmt::format("{}", contest.steps));
    for (const Contestant& learned : contest.learned) {
      out += cell(loss_text(learned.final_loss), "lead");
      out += learned.ratio ? cell(ratio_text(learned.ratio), verdict(learned.ratio->value))
                           : cell("-");
      out += cell(learned.ratio ? fmt::format("{:.3f}", learned.ratio->se) : "-");
      if (contest.reference) out += cell(ratio_text(learned.reference_ratio));
      out += cell(learned.steps_to_best ? fmt::format("{}", *learned.steps_to_best) : "-");
    }
    out += cell(contest.best ? tuned_text(contest.baselines[*contest.best]) : "all diverged");
    for (std::size_t i = 0; i < contest.baselines.size(); ++i) {
      out += cell(loss_text(contest.baselines[i].final_loss), contest.best == i ? "lead" : "");
    }
    if (contest.reference) out += cell(loss_text(contest.reference->final_loss));
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

}  // namespace

std::string html_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string suite_html(const SuiteReport& report) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0}: learned vs. tuned rules</title>\n<style>{1}</style>\n</head>\n<body>\n"
      "<h1>{0}</h1>\n<p>{2}.</p>\n",
      html_escaped(report.name), kSuiteStyle, html_escaped(suite_heading(report)));
  out +=
      "<h2>Final loss relative to the best baseline</h2>\n"
      "<p class=\"faint\">The geometric mean of the ratios; below 1 the learned rule is better. "
      "The "
      "final loss is the mean over the last 20 evaluations of a run and over the runs.</p>\n";
  out += tiles(report);
  out += "<h2>Curves</h2>\n<p class=\"faint\">Loss against step, the mean over the runs.</p>\n";
  out += legend(report.contests.front());
  out += "<div class=\"charts\">\n";
  for (const Contest& contest : report.contests) {
    out += figure(contest, report.models.size() > 1);
  }
  out += "</div>\n<h2>Final losses</h2>\n";
  out += table(report);
  return out + "</body>\n</html>\n";
}

}  // namespace l2o
