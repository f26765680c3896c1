#include "host/cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "host/cli/output.h"

namespace l2o::cli {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval(100);
constexpr std::chrono::seconds kPlainInterval(10);
constexpr int kBarWidth = 20;

int terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0.0) return "?";
  const auto total = static_cast<long long>(std::min(std::round(seconds), 1e12));
  if (total >= 3600) return fmt::format("{}h{:02}m", total / 3600, total / 60 % 60);
  if (total >= 60) return fmt::format("{}m{:02}s", total / 60, total % 60);
  return fmt::format("{}s", total);
}

std::string progress_line(const TrainProgress& progress) {
  std::string line =
      fmt::format("episode {}/{}  {} left  loss {:.4g}", progress.episode, progress.episodes,
                  duration_text(progress.seconds_left), progress.final_loss);
  if (progress.evaluated) line += fmt::format("  validation {:.4g}", progress.validation);
  if (std::isfinite(progress.best_validation)) {
    line += fmt::format("  best {:.4g}", progress.best_validation);
  }
  line += fmt::format("  rate {:.3g}", progress.learning_rate);
  if (progress.skipped_updates > 0) line += fmt::format("  skipped {}", progress.skipped_updates);
  return line;
}

std::string progress_bar(double fraction, int width) {
  const int full = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * width);
  return fmt::format("[{:#<{}}{:.<{}}]", "", full, "", width - full);
}

ProgressPrinter::ProgressPrinter() : terminal_(isatty(STDERR_FILENO) != 0), last_shown_() {}

ProgressPrinter::~ProgressPrinter() {
  if (line_open_) std::fputc('\n', stderr);
}

void ProgressPrinter::show(const TrainProgress& progress) {
  const Clock::time_point now = Clock::now();
  const bool due = now - last_shown_ >= (terminal_ ? Clock::duration(kTerminalInterval)
                                                   : Clock::duration(kPlainInterval));
  if (!due && !progress.evaluated && progress.episode != progress.episodes) return;
  last_shown_ = now;
  if (terminal_) {
    rewrite_line(progress);
  } else {
    say(progress_line(progress));
  }
}

void ProgressPrinter::rewrite_line(const TrainProgress& progress) {
  const double fraction = progress.episodes > 0 ? static_cast<double>(progress.episode) /
                                                      static_cast<double>(progress.episodes)
                                                : 0.0;
  std::string line = progress_bar(fraction, kBarWidth) + " " + progress_line(progress);
  // A line as wide as the terminal would wrap, and could not be rewritten.
  const auto columns = static_cast<std::size_t>(terminal_columns());
  if (line.size() >= columns) line.resize(columns - 1);
  constexpr const char* kClearToEnd = "\x1b[K";
  std::fputs(("\r" + line + kClearToEnd).c_str(), stderr);
  // Evaluations stay on the screen.
  if (progress.evaluated) std::fputc('\n', stderr);
  line_open_ = !progress.evaluated;
}

}  // namespace l2o::cli
