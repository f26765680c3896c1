// The floating-point mode of a call.
#pragma once

#include "kernels/math/floating_point_mode.h"

namespace l2o::capi {

/// Gives this thread the default mode while it lives, and then the caller's mode back. Callers may
/// have changed theirs, as programs built with -ffast-math do at start-up. Without this, a result
/// would depend on that, and on how many threads of the pool inherited it.
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
