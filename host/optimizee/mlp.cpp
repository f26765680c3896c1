// A multi-layer perceptron that classifies a data set: softmax cross-entropy, the mean over a
// minibatch that is fresh in every evaluation.
#include <memory>
#include <string>
#include <utility>

#include "host/backend/buffer.h"
#include "host/backend/checked_size.h"
#include "host/data/data_set.h"
#include "host/optimizee/optimizee.h"

namespace l2o {
namespace {

struct MlpOptions {
  std::vector<std::int64_t> hidden;  // units of every hidden layer
  Activation activation;             // of the hidden layers
  int batch_size;                    // R, rows of a minibatch
  float initial_sigma;
};

/// Parameters of a task: layer by layer the weights [inputs, outputs], row-major, then the bias
/// [outputs]. So both products over the wide input layer read memory in its order.
struct Layer {
  int inputs;
  int outputs;
  std::int64_t weights;  // offset into the parameters of a task
  std::int64_t bias;     // offset into the parameters of a task
  Activation activation;
  Buffer<float> values;   // [B, R, outputs]; the last layer's become d loss / d logits
  Buffer<float> adjoint;  // [B, R, outputs] d loss / d values; none for the last layer
};

class Mlp final : public Optimizee {
 public:
  Mlp(const OptimizeeContext& context, const MlpOptions& options,
      std::shared_ptr<const DataSet> data)
      : backend_(context.backend),
        tasks_(context.tasks),
        options_(options),
        data_(std::move(data)),
        row_size_(data_->row_size),
        inputs_(backend_, data_->inputs.size()),
        labels_(backend_, data_->labels.size()),
        minibatch_(backend_, checked_size({tasks_, options_.batch_size, row_size_})),
        minibatch_labels_(backend_, checked_size({tasks_, options_.batch_size})),
        minibatch_key_(backend_, 1) {
    inputs_.upload(data_->inputs);
    labels_.upload(data_->labels);
    int inputs = row_size_;
    for (const std::int64_t units : options_.hidden) {
      add_layer(inputs, static_cast<int>(units), options_.activation);
      Layer& layer = layers_.back();
      layer.adjoint = Buffer<float>(backend_, layer.values.size());
      inputs = layer.outputs;
    }
    add_layer(inputs, data_->classes, Activation::kIdentity);
  }

  std::int64_t coordinates() const override { return coordinates_; }
  int tasks() const override { return tasks_; }

  /// A task is its theta_0 and its minibatches, both drawn where they are needed.
  void sample(const TaskRange& range) override { range_ = range; }

  void initial_parameters(float* theta) override {
    FillRandomArgs args;
    args.distribution = Distribution::kNormal;
    args.b = options_.initial_sigma;
    args.key = key(RandomPurpose::kInitialParameters, 0);
    args.batch = tasks_;
    args.count = coordinates_;
    args.out = theta;
    args.stride = coordinates_;
    backend_.fill_random(args);
  }

  void start_evaluations(std::uint32_t first) override {
    minibatch_key_.upload({key(RandomPurpose::kMinibatch, first)});
  }

  void value_and_gradient(const float* theta, std::uint32_t evaluation, float* loss,
                          float* gradient) override {
    gather_minibatch(evaluation);
    for (std::size_t i = 0; i < layers_.size(); ++i) forward(i, theta);
    cross_entropy(loss);
    for (std::size_t i = layers_.size(); i-- > 0;) backward(i, theta, gradient);
  }

 private:
  void add_layer(int inputs, int outputs, Activation activation) {
    const std::int64_t weights = coordinates_;
    const std::int64_t bias = weights + static_cast<std::int64_t>(checked_size({inputs, outputs}));
    layers_.push_back(
        {.inputs = inputs,
         .outputs = outputs,
         .weights = weights,
         .bias = bias,
         .activation = activation,
         .values = Buffer<float>(backend_, checked_size({tasks_, options_.batch_size, outputs})),
         .adjoint = {}});
    coordinates_ = bias + outputs;
  }

  RandomKey key(RandomPurpose purpose, std::uint32_t step) const {
    return {range_.seed, purpose, range_.first, step};
  }

  void gather_minibatch(std::uint32_t evaluation) {
    GatherMinibatchArgs args;
    args.key = minibatch_key_.data();
    args.step = evaluation;
    args.batch = tasks_;
    args.rows = options_.batch_size;
    args.count = data_->rows;
    args.row_size = row_size_;
    args.inputs = inputs_.data();
    args.labels = labels_.data();
    args.minibatch = minibatch_.data();
    args.minibatch_labels = minibatch_labels_.data();
    backend_.gather_minibatch(args);
  }

  /// What layer i reads [B, R, inputs].
  const float* inputs_of(std::size_t i) const {
    return i == 0 ? minibatch_.data() : layers_[i - 1].values.data();
  }

  /// values = activation(inputs W + bias).
  void forward(std::size_t i, const float* theta) {
    Layer& layer = layers_[i];
    GemmArgs product;
    product.m = options_.batch_size;
    product.n = layer.outputs;
    product.k = layer.inputs;
    product.batch = tasks_;
    product.a = inputs_of(i);
    product.stride_a = rows_of(layer.inputs);
    product.b = theta + layer.weights;
    product.stride_b = coordinates_;
    product.c = layer.values.data();
    product.stride_c = rows_of(layer.outputs);
    backend_.gemm(product);

    BiasActivationArgs activation;
    activation.activation = layer.activation;
    activation.batch = tasks_;
    activation.rows = options_.batch_size;
    activation.columns = layer.outputs;
    activation.values = layer.values.data();
    activation.bias = theta + layer.bias;
    activation.bias_stride = coordinates_;
    backend_.bias_activation(activation);
  }

  void cross_entropy(float* loss) {
    SoftmaxCrossEntropyArgs args;
    args.batch = tasks_;
    args.rows = options_.batch_size;
    args.classes = layers_.back().outputs;
    args.logits = layers_.back().values.data();
    args.labels = minibatch_labels_.data();
    args.loss = loss;
    backend_.softmax_cross_entropy(args);
  }

  /// d loss / d values of layer i in; its parameters' gradient and d loss / d values of the layer
  /// before it out.
  void backward(std::size_t i, const float* theta, float* gradient) {
    Layer& layer = layers_[i];
    float* adjoint = i + 1 == layers_.size() ? layer.values.data() : layer.adjoint.data();
    BiasActivationBackwardArgs activation;
    activation.activation = layer.activation;
    activation.batch = tasks_;
    activation.rows = options_.batch_size;
    activation.columns = layer.outputs;
    activation.activated = layer.values.data();
    activation.adjoint = adjoint;
    activation.bias_gradient = gradient + layer.bias;
    activation.bias_gradient_stride = coordinates_;
    backend_.bias_activation_backward(activation);

    GemmArgs weights;  // inputs^T adjoint
    weights.transpose_a = true;
    weights.m = layer.inputs;
    weights.n = layer.outputs;
    weights.k = options_.batch_size;
    weights.batch = tasks_;
    weights.a = inputs_of(i);
    weights.stride_a = rows_of(layer.inputs);
    weights.b = adjoint;
    weights.stride_b = rows_of(layer.outputs);
    weights.c = gradient + layer.weights;
    weights.stride_c = coordinates_;
    backend_.gemm(weights);
    if (i == 0) return;

    GemmArgs inputs;  // adjoint W^T
    inputs.transpose_b = true;
    inputs.m = options_.batch_size;
    inputs.n = layer.inputs;
    inputs.k = layer.outputs;
    inputs.batch = tasks_;
    inputs.a = adjoint;
    inputs.stride_a = rows_of(layer.outputs);
    inputs.b = theta + layer.weights;
    inputs.stride_b = coordinates_;
    inputs.c = layers_[i - 1].adjoint.data();
    inputs.stride_c = rows_of(layer.inputs);
    backend_.gemm(inputs);
  }

  /// Elements of a task's minibatch of `columns` values a row.
  std::int64_t rows_of(int columns) const { return std::int64_t{options_.batch_size} * columns; }

  Backend& backend_;
  int tasks_;
  MlpOptions options_;
  TaskRange range_;
  std::shared_ptr<const DataSet> data_;  // kept: other batches of this process read it from here
  int row_size_;
  std::int64_t coordinates_ = 0;
  std::vector<Layer> layers_;
  Buffer<std::uint8_t> inputs_;            // [rows of the set, row_size]
  Buffer<std::uint8_t> labels_;            // [rows of the set]
  Buffer<float> minibatch_;                // [B, R, row_size]
  Buffer<std::uint8_t> minibatch_labels_;  // [B, R]
  Buffer<RandomKey> minibatch_key_;        // [1] of the first task, at start_evaluations()
};

}  // namespace

/// Keys:
///   layers         units of every hidden layer ([20]); [] is softmax regression
///   activation     of the hidden layers: "sigmoid" (default), "relu", "tanh"
///   batch_size     rows of a minibatch, drawn with replacement (128)
///   initial_sigma  theta_0 ~ N(0, initial_sigma^2), biases too (0.01)
///   dataset        "mnist"; pixels scaled to [0, 1]
///   split          "train" (default) or "test": which of its images minibatches are drawn from
std::unique_ptr<Optimizee> make_mlp(const OptimizeeContext& context, ConfigReader& options) {
  constexpr std::int64_t kMaxUnits = 1 << 16;
  MlpOptions mlp;
  mlp.hidden = options.integers("layers", {20}, 1, kMaxUnits);
  const std::string activation =
      options.choice("activation", "sigmoid", {"sigmoid", "relu", "tanh"});
  mlp.activation = activation == "sigmoid" ? Activation::kSigmoid
                   : activation == "relu"  ? Activation::kRelu
                                           : Activation::kTanh;
  mlp.batch_size = static_cast<int>(options.integer("batch_size", 128, 1, 1 << 20));
  mlp.initial_sigma = static_cast<float>(options.number("initial_sigma", 0.01, 0.0, 1e3));
  options.choice("dataset", "mnist", {"mnist"});
  const bool test = options.choice("split", "train", {"train", "test"}) == "test";
  return std::make_unique<Mlp>(context, mlp,
                               load_mnist(context.data_dir, test ? Split::kTest : Split::kTrain));
}

}  // namespace l2o
