#include "host/optimizer/import_l2l.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "host/core/atomic_file.h"
#include "host/core/error.h"
#include "host/core/file_kind.h"
#include "host/optimizer/pickle.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
namespace {

/// The largest rule has 0.7 MB of float64, which protocol 0 expands to up to four times as much
/// text.
constexpr std::size_t kMaxL2lBytes = std::size_t{8} << 20;

/// The last bytes of a TensorFlow checkpoint, which is a table.
constexpr std::string_view kTableMagic = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";

/// The positions of the gates i, f, g, o among Sonnet's i, j, f, o.
constexpr int kSonnetGate[4] = {0, 2, 1, 3};
constexpr double kForgetBias = 1.0;

/// RNNProp's dense layer before the LSTM.
constexpr char kProjection[] = "input_projection";

std::string layer_name(int layer) { return fmt::format("lstm_{}", layer + 1); }

/// Turns the arrays of a file into a rule; names the input in every error.
class Importer {
 public:
  Importer(const PickledModules& modules, const L2lOptions& options, const std::string& source_name)
      : modules_(modules), options_(options), source_name_(source_name) {}

  Optimizer import() const {
    check_names();
    LstmConfig lstm;
    lstm.layers = layers();
    if (lstm.layers > 0) lstm.hidden = hidden();
    lstm.preprocessing = options_.preprocessing.value_or(Preprocessing::kLogAndSign);
    lstm.p = options_.p;
    lstm.output_scale = options_.output_scale;
    if (is_rnnprop()) set_rnnprop(lstm);

    // For its shape and the checks of the options; every value is replaced.
    Optimizer rule = make_lstm_optimizer(lstm, OutputInit::kZero, 0);
    if (is_rnnprop()) import_projection(lstm, rule.meta_parameters);
    for (int layer = 0; layer < lstm.layers; ++layer) {
      import_layer(lstm, layer, rule.meta_parameters);
    }
    import_output(lstm, rule.meta_parameters);
    return rule;
  }

 private:
  [[noreturn]] void fail(const std::string& cause) const {
    throw Error(Status::kBadData, fmt::format("cannot import {}: {}", source_name_, cause));
  }

  bool is_rnnprop() const { return modules_.contains(kProjection); }

  /// Its inputs and its output are always these.
  void set_rnnprop(LstmConfig& lstm) const {
    if (options_.preprocessing) {
      fail("it is a rule of RNNProp, which has its own preprocessing; omit --preprocessing");
    }
    lstm.preprocessing = Preprocessing::kMoments;
    lstm.output = Output::kTanh;
    const std::int64_t width = modules_.at(kProjection).at("b").shape.front();
    if (width < 1 || width > LstmConfig::kMaxHidden) {
      fail(fmt::format("{}/b has {} values; expected 1 to {}", kProjection, width,
                       LstmConfig::kMaxHidden));
    }
    lstm.input_projection = static_cast<int>(width);
  }

  int layers() const {
    int count = 0;
    while (modules_.contains(layer_name(count))) ++count;
    return count;
  }

  void check_names() const {
    const int count = layers();
    if (count > LstmConfig::kMaxLayers) {
      fail(fmt::format("{} LSTM layers; expected at most {}", count, LstmConfig::kMaxLayers));
    }
    if (!modules_.contains("linear")) {
      fail("it has no module linear; expected a CoordinateWiseDeepLSTM or RNNprop");
    }
    for (const auto& [name, variables] : modules_) {
      const bool is_linear = name == "linear" || name == kProjection;
      int layer = 0;
      while (layer < count && name != layer_name(layer)) ++layer;
      if (!is_linear && layer == count) {
        fail(fmt::format("module {}; expected lstm_1, lstm_2, ... and linear", name));
      }
      const std::string weights = is_linear ? "w" : "w_gates", bias = is_linear ? "b" : "b_gates";
      for (const std::string& needed : {weights, bias}) {
        if (!variables.contains(needed)) fail(fmt::format("it has no {}/{}", name, needed));
      }
      for (const auto& [variable, array] : variables) {
        if (variable == weights || variable == bias) continue;
        fail(
            fmt::format("{}/{} is not supported; expected only {} and {}, an LSTM without "
                        "peepholes and normalization",
                        name, variable, weights, bias));
      }
    }
  }

  /// From the bias of the first layer, whose matrix may be of any height.
  int hidden() const {
    const std::int64_t rows = modules_.at("lstm_1").at("b_gates").shape.front();
    if (rows % 4 != 0 || rows / 4 > LstmConfig::kMaxHidden) {
      fail(fmt::format("lstm_1/b_gates has {} values; expected 4 for each of at most {} units",
                       rows, LstmConfig::kMaxHidden));
    }
    return static_cast<int>(rows / 4);
  }

  const PickledArray& array(const std::string& module, const std::string& name,
                            const std::vector<std::int64_t>& shape) const {
    const PickledArray& array = modules_.at(module).at(name);
    if (array.shape != shape) {
      fail(fmt::format("{}/{} has shape [{}]; expected [{}]", module, name,
                       fmt::join(array.shape, ", "), fmt::join(shape, ", ")));
    }
    return array;
  }

  /// The number of inputs of the first layer must match the options.
  void check_inputs(const LstmConfig& lstm, std::int64_t inputs) const {
    if (inputs == lstm.inputs()) return;
    if (inputs == 1 || inputs == 2) {
      fail(fmt::format(
          "its network reads {}; use --preprocessing {}",
          inputs == 1 ? "one number per coordinate" : "two numbers per coordinate",
          preprocessing_name(inputs == 1 ? Preprocessing::kIdentity : Preprocessing::kLogAndSign)));
    }
    fail(fmt::format("its network reads {} numbers per coordinate; expected 1 or 2", inputs));
  }

  float checked(const std::string& module, double value) const {
    const auto narrow = static_cast<float>(value);
    if (!std::isfinite(narrow)) {
      fail(fmt::format("{} contains {}, which is not a finite float32", module, value));
    }
    return narrow;
  }

  void import_projection(const LstmConfig& lstm, std::vector<float>& phi) const {
    const int inputs = lstm.inputs(), width = lstm.input_projection;
    const PickledArray& weights = array(kProjection, "w", {inputs, width});
    const PickledArray& bias = array(kProjection, "b", {width});
    for (int unit = 0; unit < width; ++unit) {
      for (int k = 0; k < inputs; ++k) {
        phi[unit * inputs + k] = checked(kProjection, weights.at(k, unit));
      }
      phi[width * inputs + unit] = checked(kProjection, bias.at(unit));
    }
  }

  void import_layer(const LstmConfig& lstm, int layer, std::vector<float>& phi) const {
    const LstmLayerLayout at = lstm_layer_layout(lstm, layer);
    const std::string module = layer_name(layer);
    const int hidden = lstm.hidden;
    if (layer == 0 && !is_rnnprop()) {
      check_inputs(lstm, modules_.at(module).at("w_gates").shape.front() - hidden);
    }
    const int rows = 4 * hidden;
    const PickledArray& weights = array(module, "w_gates", {at.inputs + hidden, rows});
    const PickledArray& bias = array(module, "b_gates", {rows});
    for (int row = 0; row < rows; ++row) {
      const int gate = row / hidden, column = kSonnetGate[gate] * hidden + row % hidden;
      for (int k = 0; k < at.inputs; ++k) {
        phi[at.weight_ih + row * at.inputs + k] = checked(module, weights.at(k, column));
      }
      for (int k = 0; k < hidden; ++k) {
        phi[at.weight_hh + row * hidden + k] = checked(module, weights.at(at.inputs + k, column));
      }
      const double added = gate == 1 ? kForgetBias : 0.0;
      phi[at.bias + row] = checked(module, bias.at(column) + added);
    }
  }

  void import_output(const LstmConfig& lstm, std::vector<float>& phi) const {
    const int w_out = lstm_output_offset(lstm), width = lstm_output_inputs(lstm);
    if (lstm.layers == 0 && !is_rnnprop())
      check_inputs(lstm, modules_.at("linear").at("w").shape.front());
    const PickledArray& weights = array("linear", "w", {width, 1});
    for (int k = 0; k < width; ++k) phi[w_out + k] = checked("linear", weights.at(k));
    phi[w_out + width] = checked("linear", array("linear", "b", {1}).at(0));
  }

  const PickledModules& modules_;
  const L2lOptions& options_;
  const std::string& source_name_;
};

}  // namespace

Optimizer import_l2l(std::span<const std::byte> bytes, const L2lOptions& options,
                     const std::string& source_name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.ends_with(kTableMagic)) {
    throw Error(Status::kBadData,
                fmt::format("cannot import {}: it is a TensorFlow checkpoint, as RNNProp's authors "
                            "save rules; expected a pickle of learning-to-learn or Open-L2O",
                            source_name));
  }
  const std::string other = describe_other_file(bytes);
  if (!other.empty() && other != kPickleFile && other != kTextFile) {
    throw Error(Status::kBadData, fmt::format("cannot import {}: it is {}; expected a pickle of "
                                              "learning-to-learn",
                                              source_name, other));
  }
  return Importer(parse_pickled_modules(bytes, source_name), options, source_name).import();
}

Optimizer import_l2l_file(const std::string& path, const L2lOptions& options) {
  return import_l2l(read_file(path, kMaxL2lBytes), options, path);
}

}  // namespace l2o
