// l2o rescale: makes a model's steps longer or shorter.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <string>

#include "host/cli/checked_option.h"
#include "host/cli/command.h"
#include "host/cli/output.h"
#include "host/core/error.h"
#include "host/optimizer/model_file.h"

namespace l2o::cli {
namespace {

struct RescaleFlags {
  std::string file;
  std::string out;
  float by = 1.0F;
};

int run_rescale(const RescaleFlags& flags) {
  require_separate({{"the model", flags.file}}, {{"--out", flags.out}});
  require_writable(flags.out);
  Model model = load_model(flags.file);
  for (GroupRule& rule : model.rules) {
    float& scale = rule.optimizer.cell.lstm.output_scale;
    const float scaled = scale * flags.by;
    if (!std::isnormal(scaled)) {
      throw Error(Status::kUsage,
                  fmt::format("--by {}: out of range for the output scale {}", flags.by, scale));
    }
    scale = scaled;
  }
  save_model(flags.out, model);
  for (const GroupRule& rule : model.rules) {
    const std::string name = rule.group.name.empty() ? "" : ", rule " + rule.group.name;
    print_result(fmt::format("{}{}: output scale {}\n", flags.out, name,
                             rule.optimizer.cell.lstm.output_scale));
  }
  return 0;
}

}  // namespace

Command add_rescale_command(CLI::App& verb) {
  auto flags = std::make_shared<RescaleFlags>();
  add_path_option(verb, "model", flags->file, "a model file", "MODEL")->required();
  verb.add_option("--by", flags->by, "factor on every update")
      ->required()
      ->check(number_from(1e-12, 1e12))
      ->type_name("X");
  add_path_option(verb, "--out", flags->out, "the model file to write", "MODEL")->required();
  verb.footer(
      "Meta-training on short unrolls makes steps too short for long runs. If l2o eval finds a\n"
      "better --update-scale, this stores it in the model permanently.\n"
      "Example:\n"
      "  l2o rescale runs/mine/best.safetensors --by 2 --out mine.safetensors");
  return [flags] { return run_rescale(*flags); };
}

}  // namespace l2o::cli
