// GPUs of different sizes, for tests/ops: results have the same bits on all of them.
#include "tests/cuda/cuda_device.h"
#include "tests/emulation/emulation.h"
#include "tests/ops/op_case.h"

namespace l2o::test {

std::vector<std::unique_ptr<Backend>> backends_under_test() {
  const emulation::RestoreSettings restore;
  std::vector<std::unique_ptr<Backend>> backends;
  for (const int multiprocessors : {4, 1, 150}) {
    emulation::settings.multiprocessors = multiprocessors;
    backends.push_back(cuda_backend());
  }
  return backends;
}

}  // namespace l2o::test
