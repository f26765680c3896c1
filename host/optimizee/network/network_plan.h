// A network under construction: the specifications of its layers, and what the layers share.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/core/error.h"
#include "host/optimizee/network/network_parameter.h"
#include "kernels/op_args.h"

namespace l2o {

class Layer;
class NetworkPlan;
struct LayerKind;

/// The values of a row between two layers. Height and width are 1 if it is not an image.
struct ValueShape {
  int height = 1, width = 1, channels = 0;

  std::int64_t size() const { return std::int64_t{height} * width * channels; }
  std::int64_t pixels() const { return std::int64_t{height} * width; }
  bool operator==(const ValueShape&) const = default;
};

/// "5 x 5 x 16".
std::string to_text(const ValueShape& shape);

/// A layer as given in its list.
struct LayerSpec {
  const LayerKind* kind = nullptr;
  std::string number;          ///< from 1; "4.2" is the second one of the residual block 4
  std::string text;            ///< "conv 16 3 stride 2"
  std::vector<int> arguments;  ///< 16, 3
  int stride = 0;              ///< 0: not given
  bool valid = false;
  /// Activation of the following layer, if both are one op.
  Activation activation = Activation::kIdentity;
  std::vector<LayerSpec> block;  ///< layers of a residual block
};

using LayerFactory = std::unique_ptr<Layer>(const LayerSpec& spec, const ValueShape& input,
                                            NetworkPlan& plan);

struct LayerKind {
  std::string name;
  std::string usage = {};         ///< "conv C K [stride S] [valid]"
  std::vector<int> largest = {};  ///< upper bound of each argument; the lower one is 1
  bool takes_stride = false;
  bool takes_valid = false;
  bool takes_activation = false;                  ///< its op applies an activation that follows it
  Activation activation = Activation::kIdentity;  ///< kind of an activation layer
  LayerFactory* make = nullptr;
};

/// A kUsage error: `file.toml:3:10: task.layers: layer 4 "max_pool 3": what`.
Error layer_error(const std::string& place, const LayerSpec& spec, const std::string& what);

class NetworkPlan {
 public:
  /// `place` is the position of the list of layers; messages begin with it.
  NetworkPlan(int tasks, int rows, std::string place)
      : tasks_(tasks), rows_(rows), place_(std::move(place)) {}

  int tasks() const { return tasks_; }
  int rows() const { return rows_; }
  const std::vector<NetworkParameter>& parameters() const { return parameters_; }

  /// "conv0", "conv1", ...: the prefix of the names of a layer's tensors.
  std::string next_name(const std::string& kind);
  /// Returns the index of the tensor in the network's ParameterLayout.
  int add(NetworkParameter parameter);

  /// Makes the layer. Throws kUsage if it does not fit its input or has more values than an op can
  /// count.
  std::unique_ptr<Layer> make(const LayerSpec& spec, const ValueShape& input);

  /// Throws kUsage if a window of K x K pixels does not fit inside the input.
  void check_window(const LayerSpec& spec, int kernel, const ValueShape& input) const;
  /// Throws layer_error().
  [[noreturn]] void error(const LayerSpec& spec, const std::string& what) const;

 private:
  int tasks_;
  int rows_;
  std::string place_;
  std::map<std::string, int> counts_;  // layers of each kind so far
  std::vector<NetworkParameter> parameters_;
};

}  // namespace l2o
