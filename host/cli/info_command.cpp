// l2o info: shows the contents of a model file.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "host/cli/checked_option.h"
#include "host/cli/command.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/core/text.h"
#include "host/optimizer/lstm_settings.h"
#include "host/optimizer/model_file.h"
#include "kernels/cells/cell_list.h"

namespace l2o::cli {
namespace {

class ToJson {
 public:
  explicit ToJson(nlohmann::ordered_json& json) : json_(json) {}
  void integer(const char* key, int value, int, int) { json_[key] = value; }
  void width(const char* key, int value, int) { json_[key] = value; }
  void number(const char* key, float value, float, float) { scale(key, value); }
  void scale(const char* key, float value) { json_[key] = shortest_double(value); }
  template <class Enum>
  void choice(const char* key, Enum value, SettingNames names) {
    json_[key] = names[static_cast<int>(value)];
  }

 private:
  nlohmann::ordered_json& json_;
};

/// backend: where the rule would be computed; null: not requested.
void describe_rule(const GroupRule& rule, const Backend* backend, nlohmann::ordered_json& json) {
  const Optimizer& model = rule.optimizer;
  const LstmConfig& lstm = model.cell.lstm;
  json["cell"] = std::string(cell_name(model.cell));
  visit_lstm_settings(lstm, ToJson(json));
  if (lstm.preprocessing != Preprocessing::kLogAndSign) json["p"] = nullptr;
  json["meta_parameters"] = model.meta_parameters.size();
  json["state_per_coordinate"] = cell_state_size(model.cell);
  if (backend != nullptr) json["kernels"] = backend->kernels_of(model.cell);
}

/// For a model with several rules, "rules" has one object per rule.
nlohmann::ordered_json describe(const Model& model, const Backend* backend) {
  nlohmann::ordered_json json;
  for (const GroupRule& rule : model.rules) {
    if (model.rules.size() == 1) {
      describe_rule(rule, backend, json);
      continue;
    }
    nlohmann::ordered_json own = {{"rule", rule.group.name}, {"parameters", rule.group.patterns}};
    describe_rule(rule, backend, own);
    json["rules"].push_back(std::move(own));
  }
  json["trained_on"] = model.rules.front().optimizer.trained_on;
  return json;
}

std::string as_text(const nlohmann::ordered_json& json) {
  std::string text;
  for (const auto& [key, value] : json.items()) {
    if (key == "trained_on" || key == "rules" || value.is_null()) continue;
    std::string label = key;
    std::replace(label.begin(), label.end(), '_', ' ');
    text += fmt::format("{:<21} {}{}\n", label,
                        value.is_string() ? value.get<std::string>() : value.dump(),
                        key == "state_per_coordinate" ? " numbers" : "");
  }
  return text;
}

struct InfoFlags {
  std::string model;
  std::string device;  // empty: no device is opened
  std::string precision = DeviceFlags().precision;
  bool as_json = false;
};

int run_info(const InfoFlags& flags) {
  const Model model = load_model(flags.model);
  std::unique_ptr<Backend> backend;
  if (!flags.device.empty()) {
    backend = open_backend({.device = flags.device, .precision = flags.precision});
  }
  const nlohmann::ordered_json json = describe(model, backend.get());
  if (flags.as_json) {
    print_result(json_line(json));
    return 0;
  }
  std::string text = as_text(json);
  if (json.contains("rules")) {
    for (const nlohmann::ordered_json& rule : json["rules"]) text += as_text(rule) + "\n";
  }
  const auto trained_on = json["trained_on"].get<std::string>();
  text += trained_on.empty() ? "trained on            unknown\n"
                             : "trained on this configuration:\n\n" + trained_on;
  print_result(text);
  return 0;
}

}  // namespace

Command add_info_command(CLI::App& verb) {
  auto flags = std::make_shared<InfoFlags>();
  add_path_option(verb, "model", flags->model, "a model file", "MODEL")->required();
  verb.add_flag("--json", flags->as_json, "one JSON object");
  add_device_option(verb, flags->device,
                    "auto, cpu or cuda: which kernels would compute the rule there");
  add_precision_option(verb, flags->precision);
  verb.footer(
      "Examples:\n  l2o info models/quadratic.safetensors\n"
      "  l2o info models/quadratic.safetensors --device cuda --precision f32");
  return [flags] { return run_info(*flags); };
}

}  // namespace l2o::cli
