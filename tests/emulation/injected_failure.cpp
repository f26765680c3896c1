#include "tests/emulation/injected_failure.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>

namespace l2o::emulation {
namespace {

std::atomic<bool> is_spoiled = false;

}  // namespace

void inject_failure(const char* kernel) {
  static const char* const wanted = std::getenv("L2O_EMULATION_FAILURE");
  if (wanted == nullptr) return;
  const std::string_view failure = wanted;
  const std::size_t colon = failure.find(':');
  if (colon == std::string_view::npos || failure.substr(colon + 1) != kernel) return;
  const std::string_view kind = failure.substr(0, colon);
  if (kind == "crash") std::abort();
  if (kind == "spoil") is_spoiled = true;
  while (kind == "hang") pause();
}

bool device_is_spoiled() { return is_spoiled; }

}  // namespace l2o::emulation
