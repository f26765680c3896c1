// The device under test: a real GPU, or the emulated one.
#pragma once

#include <memory>

#include "host/backend/backend.h"

namespace l2o::test {

inline bool has_cuda_device() { return why_no_accelerator().empty(); }

/// Whether it is the emulated one, which takes seconds for microseconds of GPU work.
inline bool is_emulated(const Backend& backend) {
  return backend.device().description.starts_with("emulated");
}

inline std::unique_ptr<Backend> cuda_backend(Precision precision = Precision::kMixed) {
  return make_backend({.device = DeviceKind::kCuda, .precision = precision});
}

}  // namespace l2o::test
