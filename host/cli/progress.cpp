#include "host/cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "host/cli/output.h"

namespace l2o::cli {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval(100);
constexpr std::chrono::seconds kPlainInterval(10);
const std::string kClearToEnd = "\x1b[K";
constexpr int kMinBarWidth = 6;
constexpr int kMaxBarWidth = 22;

int terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

/// A bar of `width` characters, e.g. "[####......]".
std::string progress_bar(double fraction, int width) {
  const int inside = width - 2;
  const int full = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * inside);
  return fmt::format("[{:#<{}}{:.<{}}]", "", full, "", inside - full);
}

/// The line, preceded by a bar if there is room, shorter than the terminal is wide: a line as wide
/// as the terminal would wrap, and could not be rewritten.
std::string terminal_line(std::string line, double fraction, int columns) {
  const int room = columns - 2 - static_cast<int>(line.size());
  if (room >= kMinBarWidth) {
    line = progress_bar(fraction, std::min(room, kMaxBarWidth)) + " " + line;
  }
  line.resize(std::min(line.size(), static_cast<std::size_t>(std::max(columns - 1, 0))));
  return line;
}

/// One line of progress, without a newline.
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

}  // namespace

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0.0) return "?";
  const auto total = static_cast<long long>(std::min(std::round(seconds), 1e12));
  if (total >= 3600) return fmt::format("{}h{:02}m", total / 3600, total / 60 % 60);
  if (total >= 60) return fmt::format("{}m{:02}s", total / 60, total % 60);
  return fmt::format("{}s", total);
}

ProgressPrinter::ProgressPrinter() : terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressPrinter::~ProgressPrinter() { end_line(); }

void ProgressPrinter::end_line() {
  if (std::exchange(line_open_, false)) std::fputc('\n', stderr);
}

void ProgressPrinter::say(const std::string& line) {
  end_line();
  cli::say(line);
}

void ProgressPrinter::show(const TrainProgress& progress) {
  const bool stays = progress.evaluated || progress.episode == progress.episodes;
  if (!is_due(stays)) return;
  const double fraction = static_cast<double>(progress.episode) /
                          static_cast<double>(std::max<std::int64_t>(progress.episodes, 1));
  write(progress_line(progress), fraction, stays);
}

void ProgressPrinter::show(const std::string& line, double fraction, bool stays) {
  if (is_due(stays)) write(line, fraction, stays);
}

bool ProgressPrinter::is_due(bool stays) const {
  const Clock::duration interval =
      terminal_ ? Clock::duration(kTerminalInterval) : Clock::duration(kPlainInterval);
  return stays || Clock::now() - last_shown_ >= interval;
}

void ProgressPrinter::write(const std::string& line, double fraction, bool stays) {
  last_shown_ = Clock::now();
  if (!terminal_) return cli::say(line);
  // A line that stays on the screen may wrap.
  const std::string text = stays ? line + kClearToEnd + '\n'
                                 : terminal_line(line, fraction, terminal_columns()) + kClearToEnd;
  std::fputs(fmt::format("\r{}", text).c_str(), stderr);
  line_open_ = !stays;
}

}  // namespace l2o::cli
