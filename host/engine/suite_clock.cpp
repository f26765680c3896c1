#include "host/engine/suite_clock.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "host/engine/suite.h"

namespace l2o {

SuiteClock::SuiteClock(std::function<void(const SuiteProgress&)> progress)
    : progress_(std::move(progress)) {}

void SuiteClock::plan(double seconds) {
  pieces_.push_back(seconds);
  planned_ += seconds;
}

void SuiteClock::start(const std::string& line, double step_seconds) {
  running_ = true;
  line_ = line;
  step_seconds_ = step_seconds;
  in_piece_ = 0.0;
  last_ = Clock::now();
}

void SuiteClock::count_step(int tasks) {
  if (!running_) return;  // the suite is being prepared
  const Clock::time_point now = Clock::now();
  elapsed_ += std::chrono::duration<double>(now - last_).count();
  last_ = now;
  in_piece_ += tasks * step_seconds_;
  computed_ += tasks * step_seconds_;
  report(line_, false);
}

void SuiteClock::finish(const std::string& line) {
  running_ = false;
  finished_ += pieces_[piece_++];
  in_piece_ = 0.0;
  report(line, true);
}

void SuiteClock::report(const std::string& line, bool finished) const {
  if (!progress_) return;
  const double piece = piece_ < pieces_.size() ? pieces_[piece_] : 0.0;
  const double done = finished_ + std::min(in_piece_, piece);
  // As if one second had gone as planned, so that the first steps, which include setup, carry
  // little weight.
  const double pace = (elapsed_ + 1.0) / (computed_ + 1.0);
  progress_({.line = line,
             .finished = finished,
             .fraction = planned_ > 0.0 ? done / planned_ : 0.0,
             .seconds_left = (planned_ - done) * pace});
}

}  // namespace l2o
