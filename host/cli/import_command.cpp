// l2o import: converts a rule trained by DeepMind's learning-to-learn or by Open-L2O to a model
// file.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "host/cli/checked_option.h"
#include "host/cli/command.h"
#include "host/cli/output.h"
#include "host/optimizer/import_l2l.h"
#include "host/optimizer/model_file.h"

namespace l2o::cli {
namespace {

struct ImportFlags {
  std::string file;
  std::string out;
  std::optional<std::string> preprocessing;
  float p = L2lOptions().p;
  std::optional<float> output_scale;
};

L2lOptions options_of(const ImportFlags& flags) {
  L2lOptions options;
  options.p = flags.p;
  if (flags.preprocessing == preprocessing_name(Preprocessing::kLogAndSign)) {
    options.preprocessing = Preprocessing::kLogAndSign;
  }
  if (flags.preprocessing == preprocessing_name(Preprocessing::kIdentity)) {
    // Their networks that read raw gradients, those for quadratics, use the default scale.
    options.preprocessing = Preprocessing::kIdentity;
    options.output_scale = 1.0F;
  }
  if (flags.output_scale) options.output_scale = *flags.output_scale;
  return options;
}

int run_import(const ImportFlags& flags) {
  require_separate({{"the file", flags.file}}, {{"--out", flags.out}});
  require_writable(flags.out);
  const Optimizer rule = import_l2l_file(flags.file, options_of(flags));
  save_model(flags.out, rule);

  const LstmConfig& lstm = rule.cell.lstm;
  std::string reads = preprocessing_name(lstm.preprocessing);
  if (lstm.preprocessing == Preprocessing::kLogAndSign)
    reads += fmt::format(" with p = {}", lstm.p);
  if (lstm.input_projection > 0) {
    reads += fmt::format(" through a dense layer of {} units", lstm.input_projection);
  }
  const std::string shape = lstm.layers == 0
                                ? "no LSTM layer"
                                : fmt::format("{} LSTM layer{} of {} units", lstm.layers,
                                              lstm.layers == 1 ? "" : "s", lstm.hidden);
  print_result(
      fmt::format("{}: {}, {}, output scale {}\n", flags.out, shape, reads, lstm.output_scale));
  return 0;
}

}  // namespace

Command add_import_command(CLI::App& verb) {
  auto flags = std::make_shared<ImportFlags>();
  add_path_option(verb, "file", flags->file, "a network saved by learning-to-learn or Open-L2O",
                  "FILE.l2l")
      ->required();
  add_path_option(verb, "--out", flags->out, "the model file to write", "MODEL")->required();
  verb.add_option(
          "--preprocessing", flags->preprocessing,
          "the network's input: the gradient's LogAndSign (default), or the gradient itself")
      ->check(CLI::IsMember({preprocessing_name(Preprocessing::kLogAndSign),
                             preprocessing_name(Preprocessing::kIdentity)}))
      ->type_name("NAME");
  verb.add_option("--p", flags->p, "k of learning-to-learn's LogAndSign")
      ->check(number_from(LstmConfig::kMinP, LstmConfig::kMaxP))
      ->type_name("K")
      ->capture_default_str();
  verb.add_option("--output-scale", flags->output_scale,
                  "the scale used in training, a factor on the update [0.01; 1 with identity]")
      ->type_name("S");
  verb.footer(
      "For networks saved by DeepMind's learning-to-learn (CoordinateWiseDeepLSTM) and by\n"
      "Open-L2O (the same, and RNNprop). Such a file contains only weights. The defaults of the\n"
      "options are those of that code for MNIST and CIFAR-10; for its quadratics use\n"
      "--preprocessing identity. If the network was trained with other values, pass those. No\n"
      "code in the file is run.\n"
      "Examples:\n"
      "  l2o import mnist/cw.l2l --out cw.safetensors\n"
      "  l2o import quadratic/cw.l2l --out quadratic.safetensors --preprocessing identity\n"
      "  l2o import rnnprop/rp.l2l-0 --out rnnprop.safetensors");
  return [flags] { return run_import(*flags); };
}

}  // namespace l2o::cli
