// The entry point for libFuzzer (https://llvm.org/docs/LibFuzzer.html).
#include <cstdint>

#include "host/core/error.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    l2o::read_input(std::as_bytes(std::span(data, size)));
  } catch (const l2o::Error&) {
    // Rejected, as most inputs should be.
  }
  return 0;
}
