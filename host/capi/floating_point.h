// The floating-point mode of a call.
#pragma once

#include "kernels/math/floating_point_mode.h"

namespace l2o::capi {

/// Sets the default mode in this thread during its lifetime, then restores the caller's mode.
/// Callers may have changed theirs, as programs built with -ffast-math do at start-up. Otherwise
/// results would depend on that, and on how many threads of the pool inherited it.
class DefaultFloatingPoint {
 public:
  DefaultFloatingPoint() : saved_(FloatingPointMode::get()) {
    if (!is_default()) FloatingPointMode::set(FloatingPointMode::kDefault);
  }
  ~DefaultFloatingPoint() {
    if (!is_default()) FloatingPointMode::set(saved_);
  }
  DefaultFloatingPoint(const DefaultFloatingPoint&) = delete;
  DefaultFloatingPoint& operator=(const DefaultFloatingPoint&) = delete;

 private:
  bool is_default() const {
    return (saved_ & FloatingPointMode::kControl) == FloatingPointMode::kDefault;
  }

  std::uint64_t saved_;
};

}  // namespace l2o::capi
