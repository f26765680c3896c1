#include "host/optimizer/model_file.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <string_view>

#include "host/core/atomic_file.h"
#include "host/core/error.h"
#include "host/optimizer/safetensors.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
namespace {

/// The largest model has 0.7 MB of tensors; the header is bounded by itself.
constexpr std::size_t kMaxModelBytes = std::size_t{4} << 20;

// Keys of the metadata. A file has exactly these.
constexpr char kFormatVersion[] = "l2o_format_version";
constexpr char kCell[] = "cell";
constexpr char kLayers[] = "layers";
constexpr char kHidden[] = "hidden";
constexpr char kPreprocessing[] = "preprocessing";
constexpr char kP[] = "p";
constexpr char kOutputScale[] = "output_scale";
constexpr char kTrainedOn[] = "trained_on";
constexpr char kChecksum[] = "checksum";

constexpr char kCurrentVersion[] = "1";

/// One tensor of the file and its place in phi.
struct TensorPlace {
  std::string name;
  std::vector<std::int64_t> shape;
  int offset;
  bool second_bias;  ///< PyTorch's bias_hh: added to bias_ih, so that phi has one bias
};

std::vector<TensorPlace> tensor_places(const LstmConfig& lstm) {
  std::vector<TensorPlace> places;
  const std::int64_t hidden = lstm.hidden, rows = 4 * hidden;
  for (int layer = 0; layer < lstm.layers; ++layer) {
    const LstmLayerLayout at = lstm_layer_layout(lstm, layer);
    const auto name = [&](const char* part) { return fmt::format("lstm.{}_l{}", part, layer); };
    places.push_back({name("weight_ih"), {rows, at.inputs}, at.weight_ih, false});
    places.push_back({name("weight_hh"), {rows, hidden}, at.weight_hh, false});
    places.push_back({name("bias_ih"), {rows}, at.bias, false});
    places.push_back({name("bias_hh"), {rows}, at.bias, true});
  }
  const int w_out = lstm_output_offset(lstm), width = lstm_output_inputs(lstm);
  places.push_back({"linear.weight", {1, width}, w_out, false});
  places.push_back({"linear.bias", {1}, w_out + width, false});
  return places;
}

/// XXH64 over names, sizes and values of everything but the checksum itself, sorted by name, so
/// that it does not depend on the order in which a tool wrote the file.
std::string checksum(const Safetensors& content) {
  const std::unique_ptr<XXH64_state_t, decltype(&XXH64_freeState)> state(XXH64_createState(),
                                                                         &XXH64_freeState);
  XXH64_reset(state.get(), 0);
  const auto add_bytes = [&](const void* data, std::size_t size) {
    const std::uint64_t length = size;
    XXH64_update(state.get(), &length, sizeof length);
    XXH64_update(state.get(), data, size);
  };
  for (const auto& [key, value] : content.metadata) {
    if (key == kChecksum) continue;
    add_bytes(key.data(), key.size());
    add_bytes(value.data(), value.size());
  }
  for (const auto& [name, tensor] : content.tensors) {
    add_bytes(name.data(), name.size());
    add_bytes(tensor.shape.data(), tensor.shape.size() * sizeof(std::int64_t));
    add_bytes(tensor.values.data(), tensor.values.size() * sizeof(float));
  }
  return fmt::format("xxh64:{:016x}", XXH64_digest(state.get()));
}

/// Turns a parsed file into an optimizer; names the input in every complaint.
class Loader {
 public:
  Loader(const std::string& source_name, const Safetensors& content)
      : source_name_(source_name), content_(content) {}

  Optimizer load() const {
    check_keys();
    if (text(kFormatVersion) != kCurrentVersion) {
      fail(fmt::format("format version \"{}\"; this program reads version {}", text(kFormatVersion),
                       kCurrentVersion));
    }
    if (checksum(content_) != text(kChecksum)) fail("its checksum does not match its content");
    if (text(kCell) != LstmCell::kName) {
      fail(fmt::format("unknown cell \"{}\"; expected \"{}\"", text(kCell), LstmCell::kName));
    }
    Optimizer optimizer;
    optimizer.cell.kind = kLstmKind;
    optimizer.cell.lstm = lstm_config();
    optimizer.meta_parameters = meta_parameters(optimizer.cell);
    optimizer.trained_on = text(kTrainedOn);
    return optimizer;
  }

 private:
  [[noreturn]] void fail(const std::string& cause) const {
    throw Error(Status::kBadData, fmt::format("{} is no usable model: {}", source_name_, cause));
  }

  void check_keys() const {
    constexpr const char* kKeys[] = {kFormatVersion, kCell,          kLayers,
                                     kHidden,        kPreprocessing, kP,
                                     kOutputScale,   kTrainedOn,     kChecksum};
    for (const char* key : kKeys) {
      if (!content_.metadata.contains(key)) fail(fmt::format("metadata \"{}\" are missing", key));
    }
    if (content_.metadata.size() != std::size(kKeys)) fail("it has metadata of another program");
  }

  const std::string& text(const char* key) const { return content_.metadata.at(key); }

  /// A number that fills the whole value.
  template <class Number>
  Number number(const char* key, Number min, Number max) const {
    const std::string& value = text(key);
    Number result{};
    const char* end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, result);
    // The negation catches NaN.
    if (error != std::errc() || stop != end || !(min <= result && result <= max)) {
      fail(fmt::format("{} is \"{}\"; expected a number from {} to {}", key, value, min, max));
    }
    return result;
  }

  LstmConfig lstm_config() const {
    LstmConfig lstm;
    lstm.layers = number<int>(kLayers, 0, LstmConfig::kMaxLayers);
    lstm.hidden = number<int>(kHidden, 1, LstmConfig::kMaxHidden);
    lstm.preprocessing = Preprocessing::kIdentity;
    if (text(kPreprocessing) == preprocessing_name(Preprocessing::kLogAndSign)) {
      lstm.preprocessing = Preprocessing::kLogAndSign;
    } else if (text(kPreprocessing) != preprocessing_name(Preprocessing::kIdentity)) {
      fail(fmt::format("unknown preprocessing \"{}\"", text(kPreprocessing)));
    }
    lstm.p = number<float>(kP, LstmConfig::kMinP, LstmConfig::kMaxP);
    constexpr float kMaxScale = std::numeric_limits<float>::max();
    lstm.output_scale = number<float>(kOutputScale, -kMaxScale, kMaxScale);
    return lstm;
  }

  std::vector<float> meta_parameters(const CellConfig& cell) const {
    const std::vector<TensorPlace> places = tensor_places(cell.lstm);
    if (content_.tensors.size() != places.size()) {
      fail(fmt::format("it has {} tensors; expected {}", content_.tensors.size(), places.size()));
    }
    std::vector<float> phi(static_cast<std::size_t>(LstmCell::meta_size(cell)));
    for (const TensorPlace& place : places) {
      const auto found = content_.tensors.find(place.name);
      if (found == content_.tensors.end()) fail(fmt::format("no tensor \"{}\"", place.name));
      const Tensor& tensor = found->second;
      if (tensor.shape != place.shape) {
        fail(fmt::format("tensor \"{}\" is not of shape [{}]", place.name,
                         fmt::join(place.shape, ", ")));
      }
      float* target = phi.data() + place.offset;
      for (const float value : tensor.values) {
        // Adding 0 would turn -0 into 0: loading and saving again must give the same file.
        if (!place.second_bias) *target = value;
        if (place.second_bias && value != 0.0F) *target += value;
        if (!std::isfinite(*target)) {
          fail(fmt::format("tensor \"{}\" holds a number that is not finite", place.name));
        }
        ++target;
      }
    }
    return phi;
  }

  const std::string& source_name_;
  const Safetensors& content_;
};

}  // namespace

std::vector<std::byte> model_bytes(const Optimizer& optimizer, const std::string& target_name) {
  if (optimizer.cell.kind != kLstmKind) {
    throw Error(Status::kUsage, fmt::format("a model file holds a learned rule; {} has nothing to "
                                            "save",
                                            cell_name(optimizer.cell)));
  }
  const LstmConfig& lstm = optimizer.cell.lstm;
  const std::vector<float>& phi = optimizer.meta_parameters;
  if (phi.size() != static_cast<std::size_t>(LstmCell::meta_size(optimizer.cell))) {
    throw Error(Status::kInternal, "a model whose meta-parameters do not fit its shape");
  }
  for (const float value : phi) {
    if (!std::isfinite(value)) {
      throw Error(Status::kDiverged,
                  fmt::format("not saving {}: its meta-parameters are not finite", target_name));
    }
  }

  Safetensors content;
  content.metadata = {
      {kFormatVersion, kCurrentVersion},
      {kCell, LstmCell::kName},
      {kLayers, std::to_string(lstm.layers)},
      {kHidden, std::to_string(lstm.hidden)},
      {kPreprocessing, preprocessing_name(lstm.preprocessing)},
      {kP, fmt::format("{}", lstm.p)},  // the shortest text that reads back exactly
      {kOutputScale, fmt::format("{}", lstm.output_scale)},
      {kTrainedOn, optimizer.trained_on},
  };
  for (const TensorPlace& place : tensor_places(lstm)) {
    std::int64_t size = 1;
    for (const std::int64_t extent : place.shape) size *= extent;
    Tensor& tensor = content.tensors[place.name];
    tensor.shape = place.shape;
    const auto begin = phi.begin() + place.offset;
    tensor.values.assign(begin, begin + size);
    if (place.second_bias) tensor.values.assign(tensor.values.size(), 0.0F);
  }
  content.metadata[kChecksum] = checksum(content);
  return write_safetensors(content);
}

void save_model(const std::string& path, const Optimizer& optimizer) {
  write_file_atomically(path, model_bytes(optimizer, path));
}

Optimizer load_model(const std::string& path) {
  return parse_model(read_file(path, kMaxModelBytes), path);
}

Optimizer parse_model(std::span<const std::byte> bytes, const std::string& source_name) {
  const Safetensors content = parse_safetensors(bytes, source_name);
  return Loader(source_name, content).load();
}

}  // namespace l2o
