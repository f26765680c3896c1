// How much of a suite is done, and how long the rest will take.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace l2o {

struct SuiteProgress;

/// Work is planned in about the seconds that it will take; how long the work took so far says how
/// far off that is. What the cache had is done in no time and says nothing about the rest.
class SuiteClock {
 public:
  explicit SuiteClock(std::function<void(const SuiteProgress&)> progress);

  /// The next piece of work, in the order in which they are done.
  void plan(double seconds);
  /// Begins the next piece; a step of one task in it takes about step_seconds.
  void start(const std::string& line, double step_seconds);
  /// Before every step of the tasks side by side.
  void count_step(int tasks);
  /// Ends the piece.
  void finish(const std::string& line);

 private:
  using Clock = std::chrono::steady_clock;
  void report(const std::string& line, bool finished) const;

  std::function<void(const SuiteProgress&)> progress_;
  std::vector<double> pieces_;
  std::size_t piece_ = 0;  // the one in progress, or the next
  bool running_ = false;
  double planned_ = 0.0;   // seconds of all pieces
  double before_ = 0.0;    // of the pieces that are done
  double in_piece_ = 0.0;  // of the steps of this piece
  double computed_ = 0.0;  // of the steps of all pieces
  double step_seconds_ = 0.0;
  double elapsed_ = 0.0;  // while computing
  Clock::time_point last_;
  std::string line_;
};

}  // namespace l2o
