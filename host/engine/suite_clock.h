// Tracks how much of a suite is done, and estimates how long the rest will take.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace l2o {

struct SuiteProgress;

/// Work is planned in estimated seconds; the time that the work has taken so far corrects the
/// estimate. Cached runs take no time and do not affect the correction.
class SuiteClock {
 public:
  explicit SuiteClock(std::function<void(const SuiteProgress&)> progress);

  /// Adds a piece of work; pieces are planned in the order in which they are done.
  void plan(double seconds);
  /// Starts the next piece, in which a step of one task takes about step_seconds.
  void start(const std::string& line, double step_seconds);
  /// Called before every step of `tasks` concurrent tasks.
  void count_step(int tasks);
  /// Finishes the current piece.
  void finish(const std::string& line);

 private:
  using Clock = std::chrono::steady_clock;
  void report(const std::string& line, bool finished) const;

  std::function<void(const SuiteProgress&)> progress_;
  std::vector<double> pieces_;
  std::size_t piece_ = 0;  // the one in progress, or the next
  bool running_ = false;
  double planned_ = 0.0;   // seconds of all pieces
  double finished_ = 0.0;  // seconds planned for the finished pieces
  double in_piece_ = 0.0;  // estimated seconds of the steps of this piece
  double computed_ = 0.0;  // estimated seconds of the steps of all pieces
  double step_seconds_ = 0.0;
  double elapsed_ = 0.0;  // actual seconds of computation
  Clock::time_point last_;
  std::string line_;
};

}  // namespace l2o
