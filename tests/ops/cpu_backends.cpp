#include "tests/ops/op_case.h"

namespace l2o::test {

std::vector<std::unique_ptr<Backend>> backends_under_test() {
  std::vector<std::unique_ptr<Backend>> backends;
  for (const int threads : {1, 2, 3}) {
    backends.push_back(make_backend({.device = DeviceKind::kCpu, .threads = threads}));
  }
  return backends;
}

}  // namespace l2o::test
