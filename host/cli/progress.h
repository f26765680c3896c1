// Progress of long operations: one line that is rewritten on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <string>

#include "host/engine/trainer.h"

namespace l2o::cli {

/// "2h05m", "3m20s", "12s".
std::string duration_text(double seconds);

/// Writes to stderr.
class ProgressPrinter {
 public:
  ProgressPrinter();
  /// Ends the line that is being rewritten, so that later output begins on a new line.
  ~ProgressPrinter();
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  void show(const TrainProgress& progress);
  /// `fraction` of the work is done. A line that stays is always shown; others may be skipped if
  /// they follow each other too fast.
  void show(const std::string& line, double fraction, bool stays);
  /// Writes a line that is not progress, after ending the one that is being rewritten.
  void say(const std::string& line);

 private:
  using Clock = std::chrono::steady_clock;

  bool is_due(bool stays) const;
  void end_line();
  void write(const std::string& line, double fraction, bool stays);

  bool terminal_;
  bool line_open_ = false;
  Clock::time_point last_shown_;
};

}  // namespace l2o::cli
