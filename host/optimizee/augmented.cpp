#include "host/optimizee/augmented.h"

#include <string>
#include <utility>
#include <vector>

#include "host/backend/buffer.h"
#include "host/backend/checked_size.h"

namespace l2o {
namespace {

// Steps of the stream kTaskData, disjoint from those that functions draw from.
constexpr std::uint32_t kFactorDraws = 1U << 31;
constexpr std::uint32_t kCenterDraws = kFactorDraws + 1;

/// All coordinates are scaled, including the convex ones.
class Augmented final : public Optimizee {
 public:
  Augmented(Backend& backend, const Augmentation& augmentation, std::unique_ptr<Optimizee> function)
      : backend_(backend),
        augmentation_(augmentation),
        function_(std::move(function)),
        centers_(backend_, checked_size({tasks(), augmentation_.convex})) {
    if (has_convex()) convex_ = function_->add_parameter("convex", {augmentation_.convex});
    for (const ParameterTensor& tensor : function_->layout().tensors()) {
      add_parameter(tensor.name, tensor.shape);
    }
    allocate_blocks();
  }

  int tasks() const override { return function_->tasks(); }

  void sample(const TaskRange& range) override {
    function_->sample(range);
    if (has_convex()) draw_centers(range);
    if (is_scaled()) draw_factors(range);
  }

  void initial_parameters(ParameterBlocks theta) override {
    function_->initial_parameters(theta);
    if (has_convex()) {
      FillRandomArgs args = fill_args(layout().data(convex_, theta), layout().stride_of(convex_),
                                      augmentation_.convex);
      args.b = 0.0F;
      backend_.fill_random(args);
    }
    if (is_scaled()) multiply(theta, theta, /*divide=*/true);
  }

  void start_evaluations(std::uint32_t first) override { function_->start_evaluations(first); }

  void value_and_gradient(ConstParameterBlocks theta, std::uint32_t evaluation, float* loss,
                          ParameterBlocks gradient) override {
    if (is_scaled()) {
      multiply(theta, scaled_blocks_, /*divide=*/false);
      theta = {scaled_blocks_.begin(), scaled_blocks_.end()};
    }
    function_->value_and_gradient(theta, evaluation, loss, gradient);
    if (has_convex()) add_convex(theta, loss, gradient);
    if (is_scaled()) multiply(gradient, gradient, /*divide=*/false);
  }

  std::uint64_t data_fingerprint() const override { return function_->data_fingerprint(); }
  std::vector<std::string> data_files() const override { return function_->data_files(); }
  bool is_recordable() const override { return function_->is_recordable(); }

 private:
  void groups_assigned(const std::vector<ParameterGroup>& groups, std::int64_t alignment) override {
    function_->assign_groups(groups, alignment);
    allocate_blocks();
  }

  bool is_scaled() const { return augmentation_.random_scaling > 0.0F; }
  bool has_convex() const { return augmentation_.convex > 0; }

  /// Allocates the factors and c theta, in the layout of the parameters.
  void allocate_blocks() {
    if (!is_scaled()) return;
    factors_.clear();
    scaled_.clear();
    factor_blocks_.clear();
    scaled_blocks_.clear();
    for (int group = 0; group < layout().groups(); ++group) {
      const std::size_t size = checked_size({tasks(), layout().group_size(group)});
      factor_blocks_.push_back(factors_.emplace_back(backend_, size).data());
      scaled_blocks_.push_back(scaled_.emplace_back(backend_, size).data());
    }
    has_padding_ = false;
  }

  /// Arguments for U[0, 1) from stream 0, `count` values per task.
  FillRandomArgs fill_args(float* out, std::int64_t stride, std::int64_t count) const {
    FillRandomArgs args;
    args.batch = tasks();
    args.count = count;
    args.out = out;
    args.stride = stride;
    return args;
  }

  void draw_centers(const TaskRange& range) {
    FillRandomArgs args = fill_args(centers_.data(), augmentation_.convex, augmentation_.convex);
    args.a = -1.0F;
    args.b = 2.0F;
    args.key = {range.seed, RandomPurpose::kTaskData, range.first, kCenterDraws};
    backend_.fill_random(args);
  }

  /// The same draws however the parameters are grouped.
  void draw_factors(const TaskRange& range) {
    if (!std::exchange(has_padding_, true)) fill_factors_with_ones();
    for (int i = 0; i < static_cast<int>(layout().tensors().size()); ++i) {
      const ParameterTensor& tensor = layout().tensor(i);
      FillRandomArgs args =
          fill_args(layout().data<float>(i, factor_blocks_), layout().stride_of(i), tensor.size);
      args.distribution = Distribution::kLogUniform;
      args.a = -augmentation_.random_scaling;
      args.b = 2.0F * augmentation_.random_scaling;
      args.key = {range.seed, RandomPurpose::kTaskData, range.first, kFactorDraws};
      args.one_draw = augmentation_.scale_level != ScaleLevel::kCoordinate;
      if (augmentation_.scale_level == ScaleLevel::kCoordinate) args.first = tensor.first_draw;
      if (augmentation_.scale_level == ScaleLevel::kTensor) args.first = i;
      backend_.fill_random(args);
    }
  }

  /// 1 + 0 * U, for the padding between tasks, which is never drawn.
  void fill_factors_with_ones() {
    for (Buffer<float>& factors : factors_) {
      FillRandomArgs args;
      args.a = 1.0F;
      args.b = 0.0F;
      args.batch = 1;
      args.count = static_cast<std::int64_t>(factors.size());
      args.out = factors.data();
      args.stride = args.count;
      backend_.fill_random(args);
    }
  }

  /// out = values * c, or values / c, in every group.
  void multiply(ConstParameterBlocks values, ParameterBlocks out, bool divide) {
    for (std::size_t group = 0; group < factors_.size(); ++group) {
      backend_.multiply({.divide = divide,
                         .n = static_cast<std::int64_t>(factors_[group].size()),
                         .values = values[group],
                         .factors = factors_[group].data(),
                         .out = out[group]});
    }
  }

  void add_convex(ConstParameterBlocks theta, float* loss, ParameterBlocks gradient) {
    ClippedSquaresArgs args;
    args.batch = tasks();
    args.count = augmentation_.convex;
    args.centers = centers_.data();
    args.theta = layout().data(convex_, theta);
    args.gradient = layout().data(convex_, gradient);
    args.stride = layout().stride_of(convex_);
    args.loss = loss;
    backend_.clipped_squares(args);
  }

  Backend& backend_;
  Augmentation augmentation_;
  std::unique_ptr<Optimizee> function_;
  int convex_ = -1;                                    // index of the tensor
  Buffer<float> centers_;                              // a [B, K]
  std::vector<Buffer<float>> factors_, scaled_;        // c and c theta, per group [B, size]
  std::vector<float*> factor_blocks_, scaled_blocks_;  // their memory
  bool has_padding_ = false;                           // the padding of factors_ is set to 1
};

}  // namespace

Augmentation read_augmentation(ConfigReader& options) {
  constexpr double kMaxRandomScaling = 20.0;
  constexpr std::int64_t kMaxConvex = 1 << 24;
  Augmentation augmentation;
  augmentation.random_scaling =
      static_cast<float>(options.number("random_scaling", 0.0, 0.0, kMaxRandomScaling));
  const std::string level =
      options.choice("scale_level", "coordinate", {"coordinate", "tensor", "task"});
  augmentation.scale_level = level == "coordinate" ? ScaleLevel::kCoordinate
                             : level == "tensor"   ? ScaleLevel::kTensor
                                                   : ScaleLevel::kTask;
  augmentation.convex = options.integer("convex", 0, 0, kMaxConvex);
  return augmentation;
}

std::unique_ptr<Optimizee> augment(Backend& backend, const Augmentation& augmentation,
                                   std::unique_ptr<Optimizee> optimizee) {
  if (augmentation.random_scaling == 0.0F && augmentation.convex == 0) return optimizee;
  return std::make_unique<Augmented>(backend, augmentation, std::move(optimizee));
}

}  // namespace l2o
