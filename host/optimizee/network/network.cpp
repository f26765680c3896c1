// A network of layers that learns a data set: the loss is the mean over a minibatch that is new in
// every evaluation. mlp, mnist and cifar10 are the same with other defaults.
#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/backend/checked_size.h"
#include "host/core/error.h"
#include "host/data/data_set.h"
#include "host/optimizee/network/initial_values.h"
#include "host/optimizee/network/layers.h"
#include "host/optimizee/network/loss.h"
#include "host/optimizee/network/minibatches.h"
#include "host/optimizee/network/sequence.h"
#include "host/optimizee/optimizee.h"

namespace l2o {
namespace {

struct NetworkOptions {
  std::vector<LayerSpec> layers;  // without the last one
  std::string layers_place;       // for messages
  Loss loss = Loss::kCrossEntropy;
  std::string loss_place;
  Init init = Init::kNormal;
  float initial_sigma = 0.0F;
  int batch_size = 0;  // R
  float weight_decay = 0.0F;
};

class Network final : public Optimizee {
 public:
  Network(const OptimizeeContext& context, const NetworkOptions& options,
          const std::shared_ptr<const DataSet>& data)
      : backend_(context.backend), tasks_(context.tasks), options_(options) {
    std::vector<LayerSpec> layers = options.layers;
    layers.push_back(
        last_layer(outputs_for(options.loss, *data, options.loss_place), layers.size()));
    NetworkPlan plan(tasks_, options.batch_size, options.layers_place);
    layers_.emplace(layers, ValueShape{data->height, data->width, data->channels}, plan);
    parameters_ = plan.parameters();
    for (const NetworkParameter& parameter : parameters_) {
      add_parameter(parameter.name, parameter.shape);
    }
    checked_size({tasks_, coordinates(), sizeof(float)});
    // From here on everything is known to be consistent.
    minibatches_.emplace(backend_, data, tasks_, options.batch_size);
    layers_->allocate(backend_);
  }

  int tasks() const override { return tasks_; }

  /// A task is its theta_0 and its minibatches, both drawn when they are needed.
  void sample(const TaskRange& range) override { range_ = range; }

  /// The draw of a value is its index among all parameters, regardless of their groups.
  void initial_parameters(ParameterBlocks theta) override {
    for (int i = 0; i < static_cast<int>(parameters_.size()); ++i) {
      const InitialDraw draw = initial_draw(options_.init, options_.initial_sigma,
                                            parameters_[static_cast<std::size_t>(i)]);
      FillRandomArgs args;
      args.distribution = draw.distribution;
      args.a = draw.a;
      args.b = draw.b;
      args.key = key(RandomPurpose::kInitialParameters, 0);
      args.first = layout().tensor(i).first_draw;
      args.batch = tasks_;
      args.count = layout().tensor(i).size;
      args.out = layout().data(i, theta);
      args.stride = layout().stride_of(i);
      backend_.fill_random(args);
    }
  }

  void start_evaluations(std::uint32_t first) override {
    minibatches_->start(key(RandomPurpose::kMinibatch, first));
  }

  void value_and_gradient(ConstParameterBlocks theta, std::uint32_t evaluation, float* loss,
                          ParameterBlocks gradient) override {
    const LayerPass pass = {backend_, layout(), theta, gradient};
    minibatches_->gather(evaluation);
    layers_->forward(pass, minibatches_->inputs());
    evaluate_loss(options_.loss, backend_, tasks_, options_.batch_size, *minibatches_,
                  layers_->output(), loss);
    layers_->backward(pass, minibatches_->inputs(), layers_->output(), nullptr);
    if (options_.weight_decay > 0.0F) penalize(pass, loss);
  }

  std::uint64_t data_fingerprint() const override { return minibatches_->data().fingerprint; }
  std::vector<std::string> data_files() const override { return minibatches_->data().files; }

 private:
  RandomKey key(RandomPurpose purpose, std::uint32_t step) const {
    return {range_.seed, purpose, range_.first, step};
  }

  void penalize(const LayerPass& pass, float* loss) {
    for (int i = 0; i < static_cast<int>(parameters_.size()); ++i) {
      L2PenaltyArgs args;
      args.weight = options_.weight_decay;
      args.batch = tasks_;
      args.count = layout().tensor(i).size;
      args.theta = pass.parameter(i);
      args.gradient = pass.gradient_of(i);
      args.stride = pass.stride_of(i);
      args.loss = loss;
      backend_.l2_penalty(args);
    }
  }

  Backend& backend_;
  int tasks_;
  NetworkOptions options_;
  TaskRange range_;
  std::vector<NetworkParameter> parameters_;  // tensor by tensor of the layout
  std::optional<Minibatches> minibatches_;
  std::optional<Sequence> layers_;
};

using Layers = std::vector<ConfigItem>;

Layers texts(const std::vector<std::string>& layers) {
  Layers items;
  for (const std::string& layer : layers) items.push_back(ConfigItem::of_text(layer));
  return items;
}

/// Keys:
///   data           the data set (required, except for presets): host/data/registry.cpp; "arrays"
///                  (default if there are any): those passed from C or Python
///   layers         strings as in layers.cpp; a list inside the list is a residual block, its input
///                  added to its output; an integer N is short for "dense N" and the
///                  activation named by the key `activation`. The last dense layer, to the classes
///                  or the size of the target, is implied ([])
///   activation     after layers given as integers: "sigmoid" (default), "relu", "tanh", "elu",
///                  "gelu", "softplus"; known only if there are such layers
///   loss           "cross_entropy" (default) with labels, "mse" to targets, or "autoencoder", mse
///                  to the input
///   init           of theta_0: "normal" (default), N(0, initial_sigma^2), biases too; "he",
///                  "glorot", "lecun", biases 0; "torch", as torch.nn.Linear and Conv2d
///   initial_sigma  of init = "normal" (0.01)
///   batch_size     rows of a minibatch, drawn with replacement (128)
///   weight_decay   w: w / 2 * sum theta^2 is added to the loss (0)
///   split          "train" or "test": the rows that minibatches are drawn from; "auto" (default):
///                  "train", or, when rules are judged, "test" if there is one
///   classes        keep these, renumbered in this order ([]: all)
///   resize         side of the square that images are averaged down to (0: unchanged)
///   grey           one channel (false)
///   standardise    values minus the mean, divided by the standard deviation of their channel
///   (false) channels       position of the channels in the images of a file: "last" (default) or
///   "first"
std::unique_ptr<Optimizee> make(const OptimizeeContext& context, ConfigReader& options,
                                const std::string& default_data, const Layers& default_layers) {
  NetworkOptions network;
  network.layers = read_layers(options, default_layers);
  network.layers_place = options.place("layers");
  const std::string loss =
      options.choice("loss", "cross_entropy", {"cross_entropy", "mse", "autoencoder"});
  network.loss = loss == "cross_entropy" ? Loss::kCrossEntropy
                 : loss == "mse"         ? Loss::kMeanSquaredError
                                         : Loss::kAutoencoder;
  network.loss_place = options.place("loss");
  const std::string init =
      options.choice("init", "normal", {"normal", "he", "glorot", "lecun", "torch"});
  network.init = init == "normal"   ? Init::kNormal
                 : init == "he"     ? Init::kHe
                 : init == "glorot" ? Init::kGlorot
                 : init == "lecun"  ? Init::kLecun
                                    : Init::kTorch;
  network.initial_sigma = static_cast<float>(options.number("initial_sigma", 0.01, 0.0, 1e3));
  network.batch_size = static_cast<int>(options.integer("batch_size", 128, 1, 1 << 20));
  network.weight_decay = static_cast<float>(options.number("weight_decay", 0.0, 0.0, 1e6));

  constexpr std::int64_t kMaxSide = 1 << 12;
  DataOptions data;
  data.directory = context.data_dir;
  for (const std::int64_t label : options.integers("classes", {}, 0, kMaxClasses - 1)) {
    data.transform.classes.push_back(static_cast<int>(label));
  }
  data.transform.resize = static_cast<int>(options.integer("resize", 0, 0, kMaxSide));
  data.transform.grey = options.flag("grey", false);
  data.transform.standardise = options.flag("standardise", false);
  data.channels_first = options.choice("channels", "last", {"last", "first"}) == "first";
  const std::string split = options.choice("split", "auto", {"auto", "train", "test"});
  constexpr const char* kArrays = "arrays";
  data.name = options.path("data", context.arrays != nullptr ? kArrays : default_data);
  if ((data.name == kArrays) != (context.arrays != nullptr)) {
    throw Error(
        Status::kUsage,
        fmt::format("{}: \"{}\" {}", options.place("data"), data.name,
                    context.arrays == nullptr
                        ? "are passed from C or Python; a configuration by itself must "
                          "name a data set or a file"
                        : "does not name the arrays that were passed; expected \"arrays\""));
  }
  if (data.name.empty()) {
    throw Error(Status::kUsage, options.place("data") +
                                    ": a network needs a data set; expected data = \"mnist\", "
                                    "\"cifar10\", a file, ...");
  }
  if (context.arrays != nullptr) {
    if (split == "test" || data.channels_first) {
      throw Error(Status::kUsage, options.place(split == "test" ? "split" : "channels") +
                                      ": arrays have one split, and their channels are last");
    }
    return std::make_unique<Network>(context, network,
                                     make_data_set(*context.arrays, data.transform));
  }
  const bool test =
      split == "test" || (split == "auto" && context.held_out && has_test_split(data));
  data.split = test ? Split::kTest : Split::kTrain;
  return std::make_unique<Network>(context, network, load_data(data));
}

}  // namespace

std::unique_ptr<Optimizee> make_network(const OptimizeeContext& context, ConfigReader& options) {
  return make(context, options, "", {});
}

/// The network of Andrychowicz et al. 2016 on MNIST.
std::unique_ptr<Optimizee> make_mnist(const OptimizeeContext& context, ConfigReader& options) {
  return make(context, options, "mnist", texts({"dense 20", "sigmoid"}));
}

/// Their network on CIFAR-10.
std::unique_ptr<Optimizee> make_cifar10(const OptimizeeContext& context, ConfigReader& options) {
  return make(context, options, "cifar10",
              texts({"conv 16 5", "batch_norm", "relu", "max_pool 2",  //
                     "conv 16 5", "batch_norm", "relu", "max_pool 2",  //
                     "conv 16 5", "batch_norm", "relu", "max_pool 2",  //
                     "dense 32", "batch_norm", "relu"}));
}

}  // namespace l2o
