// A breakdown of the time of meta-training.
#pragma once

#include <chrono>

#include "host/backend/backend.h"

namespace l2o {

/// Seconds.
struct Profile {
  double gradient = 0.0;  ///< losses and gradients of the tasks
  double step = 0.0;      ///< steps of the rule
  double backward = 0.0;  ///< meta-gradients
  double wait = 0.0;      ///< time spent waiting for the slowest rank
  double exchange = 0.0;  ///< sums over shards, including communication between ranks
  double total = 0.0;     ///< duration of the run, including everything else
};

/// Adds the time of its scope and of the ops queued in it to `seconds`; null: does nothing.
class ProfiledScope {
 public:
  ProfiledScope(Backend& backend, double* seconds) : backend_(backend), seconds_(seconds) {}
  ~ProfiledScope() {
    if (seconds_ == nullptr) return;
    try {
      backend_.synchronize();
    } catch (...) {
      return;  // the error of the device is also that of the next op
    }
    *seconds_ += std::chrono::duration<double>(Clock::now() - start_).count();
  }
  ProfiledScope(const ProfiledScope&) = delete;
  ProfiledScope& operator=(const ProfiledScope&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  Backend& backend_;
  double* seconds_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace l2o
