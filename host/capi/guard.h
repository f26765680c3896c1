// The boundary: no exception leaves the library. Every function of l2o.h that can fail runs inside
// guarded(), which is the only place that turns exceptions into statuses and sets the
// floating-point mode.
#pragma once

#include "host/capi/floating_point.h"
#include "host/core/error.h"
#include "host/include/l2o/l2o.h"

namespace l2o::capi {

/// What l2o_last_error_message() says on this thread. Allocates nothing; cuts what is too long.
void set_last_error(const char* message) noexcept;
const char* last_error() noexcept;

/// The status of the exception in flight, its message taken down. Call in a catch block only.
l2o_status status_of_current_exception() noexcept;

/// Runs `call`, whatever the caller's floating-point mode; L2O_OK where it returns.
template <class Call>
l2o_status guarded(Call&& call) noexcept {
  const DefaultFloatingPoint floating_point;
  try {
    call();
    return L2O_OK;
  } catch (...) {
    return status_of_current_exception();
  }
}

/// The same for a call that returns a size: 0 where it fails.
template <class Call>
size_t guarded_size(Call&& call) noexcept {
  size_t size = 0;
  guarded([&] { size = call(); });
  return size;
}

}  // namespace l2o::capi
