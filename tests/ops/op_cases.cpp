// THE list of cases: one entry per family.
#include "tests/ops/op_case.h"

namespace l2o::test {

std::vector<OpCase> op_cases() {
  std::vector<OpCase> cases;
  for (const auto& family :
       {image_cases(), norm_cases(), loss_cases(), element_cases(), dense_cases(), meta_cases()}) {
    cases.insert(cases.end(), family.begin(), family.end());
  }
  return cases;
}

}  // namespace l2o::test
