// Saved networks of learning-to-learn, with either preprocessing.
#include <stdexcept>

#include "host/core/error.h"
#include "host/optimizer/import_l2l.h"
#include "host/optimizer/model_file.h"
#include "tests/fuzz/target.h"

namespace l2o {
namespace {

/// An imported rule must be a model that can be saved and read.
void import_and_save(std::span<const std::byte> bytes, Preprocessing preprocessing) {
  const Optimizer rule = import_l2l(bytes, {.preprocessing = preprocessing}, "input");
  const Model again = parse_model(model_bytes(make_model(rule), "output"), "output");
  if (again.only_rule().meta_parameters != rule.meta_parameters) {
    throw std::logic_error("saving an imported rule changes it");
  }
}

}  // namespace

void read_input(std::span<const std::byte> bytes) {
  try {
    import_and_save(bytes, Preprocessing::kIdentity);
    return;
  } catch (const Error&) {
    // It may still have the other preprocessing.
  }
  import_and_save(bytes, Preprocessing::kLogAndSign);
}

}  // namespace l2o
