// The boundary: no exception leaves the library. Every function of l2o.h that can fail runs inside
// guarded(), the only place in libl2o that turns exceptions into statuses.
#pragma once

#include "host/capi/floating_point.h"
#include "host/core/error.h"
#include "host/include/l2o/l2o.h"

namespace l2o::capi {

/// The message of this thread's last failure; "" if there was none.
const char* last_error() noexcept;

/// Returns the status of the current exception and records its message. Call only in a catch block.
l2o_status status_of_current_exception() noexcept;

/// Runs `call` in the default floating-point mode; L2O_OK if it does not throw.
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

/// The same for a call that returns a size: 0 if it fails.
template <class Call>
size_t guarded_size(Call&& call) noexcept {
  size_t size = 0;
  guarded([&] { size = call(); });
  return size;
}

}  // namespace l2o::capi
