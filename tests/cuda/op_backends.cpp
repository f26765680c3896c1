#include "tests/cuda/cuda_device.h"
#include "tests/ops/op_case.h"

namespace l2o::test {

/// Only the real GPU.
std::vector<std::unique_ptr<Backend>> backends_under_test() {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(cuda_backend());
  return backends;
}

}  // namespace l2o::test
