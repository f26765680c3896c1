#include "host/capi/guard.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

namespace l2o::capi {
namespace {

constexpr std::size_t kMaxMessage = 2047;
/// A plain array: it needs no allocation, and no destructor runs when a thread ends.
thread_local char message[kMaxMessage + 1] = "";

/// Sets this thread's l2o_last_error_message(). Allocates nothing; truncates long messages.
void set_last_error(const char* text) noexcept {
  const std::size_t length = std::min(std::strlen(text), kMaxMessage);
  std::memcpy(message, text, length);
  message[length] = '\0';
}

}  // namespace

const char* last_error() noexcept { return message; }

l2o_status status_of_current_exception() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    set_last_error(error.what());
    // The values of Status are those of l2o_status (a test compares them), except kRankLost and
    // kTerminated: the library has only one rank, and leaves signals to the program.
    return static_cast<l2o_status>(error.status());
  } catch (const std::bad_alloc&) {
    set_last_error("out of host memory");
    return L2O_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    set_last_error(error.what());
    return L2O_INTERNAL;
  } catch (...) {
    set_last_error("an unknown exception");
    return L2O_INTERNAL;
  }
}

}  // namespace l2o::capi
