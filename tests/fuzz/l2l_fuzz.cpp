// Saved networks of learning-to-learn and Open-L2O, with each preprocessing.
#include <optional>
#include <stdexcept>

#include "host/core/error.h"
#include "host/optimizer/import_l2l.h"
#include "host/optimizer/model_file.h"
#include "tests/fuzz/target.h"

namespace l2o {
namespace {

/// An imported rule must be a model that can be saved and read. Throws l2o::Error only if the bytes
/// cannot be imported.
void import_and_save(std::span<const std::byte> bytes, std::optional<Preprocessing> preprocessing) {
  // Neither p nor the scale is the default of a rule, so that a lost one shows.
  const L2lOptions options = {.preprocessing = preprocessing, .p = 7.5F, .output_scale = 0.3F};
  const Optimizer rule = import_l2l(bytes, options, "input");
  const Optimizer again = must_succeed("saving and reading an imported rule", [&] {
    return parse_model(model_bytes(make_model(rule), "output"), "output").only_rule();
  });
  if (again.cell != rule.cell || again.meta_parameters != rule.meta_parameters) {
    throw std::logic_error("saving and reading an imported rule changes it");
  }
}

}  // namespace

void read_input(std::span<const std::byte> bytes) {
  try {
    import_and_save(bytes, Preprocessing::kIdentity);
    return;
  } catch (const Error&) {
    // It may still have another preprocessing.
  }
  import_and_save(bytes, std::nullopt);
}

}  // namespace l2o
