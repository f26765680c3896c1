// The device that these tests are about: a real GPU, or the emulation's.
#pragma once

#include <memory>

#include "host/backend/backend.h"

namespace l2o::test {

inline bool has_cuda_device() { return why_no_accelerator().empty(); }

/// Whether it is the emulation's, which takes seconds for what a GPU does in microseconds.
inline bool is_emulated(const Backend& backend) {
  return backend.device().description.starts_with("emulated");
}

inline std::unique_ptr<Backend> cuda_backend(Precision precision = Precision::kMixed) {
  return make_backend({.device = DeviceKind::kCuda, .precision = precision});
}

}  // namespace l2o::test
