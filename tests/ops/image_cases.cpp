// Convolutions and pooling.
#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <limits>

#include "tests/ops/op_case.h"
#include "tests/ops/reference.h"
#include "tests/support/tolerances.h"

namespace l2o::test {
namespace {

struct ConvolutionSizes {
  int batch, images, height, width, channels, out_channels, kernel, stride;
  bool valid = false;
  int gap = 0;  ///< values between the weights of two tasks
};

const ConvolutionSizes kConvolutions[] = {
    {1, 2, 5, 5, 1, 1, 1, 1},   // a window of one pixel
    {1, 3, 8, 7, 3, 16, 5, 1},  // like the first one for CIFAR
    {2, 2, 8, 8, 16, 16, 5, 1, false, 3},
    {1, 1, 9, 9, 2, 5, 3, 2, true},  // strides
    {2, 3, 7, 6, 17, 3, 3, 2, false, 1},
    {1, 2, 6, 6, 4, 7, 4, 1},  // window of even size
    {1, 2, 2, 3, 3, 4, 5, 1},  // the window is larger than the image
    {3, 1, 4, 4, 1, 33, 2, 2, true, 5},
    {1, 40, 6, 6, 5, 9, 3, 1},  // more images than chunks
    {1, 1, 30, 31, 3, 8, 7, 3},
    // On GPUs, tiles of 64 by 16, 32 or 64: full tiles, several tiles and their tails; several
    // chunks of 1024 pixels.
    {1, 2, 8, 8, 16, 32, 5, 1},
    {2, 1, 9, 15, 33, 65, 1, 1},
    {2, 4, 23, 27, 3, 17, 3, 1, false, 2},
};

ConvolutionShape shape_of(const ConvolutionSizes& sizes) {
  ConvolutionShape shape;
  shape.batch = sizes.batch;
  shape.images = sizes.images;
  shape.height = sizes.height;
  shape.width = sizes.width;
  shape.channels = sizes.channels;
  shape.out_channels = sizes.out_channels;
  shape.kernel = sizes.kernel;
  shape.stride = sizes.stride;
  if (sizes.valid) {
    shape.out_height = (sizes.height - sizes.kernel) / sizes.stride + 1;
    shape.out_width = (sizes.width - sizes.kernel) / sizes.stride + 1;
  } else {
    shape.pad_top = shape.pad_left = (sizes.kernel - 1) / 2;
    shape.out_height = (sizes.height - 1) / sizes.stride + 1;
    shape.out_width = (sizes.width - 1) / sizes.stride + 1;
  }
  return shape;
}

struct Convolution {
  explicit Convolution(const ConvolutionSizes& sizes)
      : shape(shape_of(sizes)),
        weights_size(std::int64_t{sizes.kernel} * sizes.kernel * sizes.channels *
                     sizes.out_channels),
        weights_stride(weights_size + sizes.gap),
        bias_stride(sizes.out_channels + sizes.gap),
        input(uniform(1, std::int64_t{sizes.batch} * sizes.images * sizes.height * sizes.width *
                             sizes.channels)),
        weights(uniform(2, sizes.batch * weights_stride)),
        bias(uniform(3, sizes.batch * bias_stride)),
        adjoint(uniform(4, std::int64_t{sizes.batch} * sizes.images * shape.out_height *
                               shape.out_width * sizes.out_channels)) {}

  ConvolutionShape shape;
  std::int64_t weights_size, weights_stride, bias_stride;
  Floats input, weights, bias, adjoint;

  /// Calls visit(input index, weight index, output index) for every product.
  template <class Visit>
  void visit_products(const Visit& visit) const {
    for (int image = 0; image < shape.batch * shape.images; ++image) {
      for (int i = 0; i < shape.out_height; ++i) {
        for (int j = 0; j < shape.out_width; ++j) {
          for (int u = 0; u < shape.kernel; ++u) {
            for (int v = 0; v < shape.kernel; ++v) {
              const int y = i * shape.stride - shape.pad_top + u;
              const int x = j * shape.stride - shape.pad_left + v;
              if (y < 0 || y >= shape.height || x < 0 || x >= shape.width) continue;
              for (int c = 0; c < shape.channels; ++c) {
                for (int o = 0; o < shape.out_channels; ++o) {
                  const std::int64_t in =
                      ((std::int64_t{image} * shape.height + y) * shape.width + x) *
                          shape.channels +
                      c;
                  const std::int64_t weight =
                      image / shape.images * weights_stride +
                      ((u * shape.kernel + v) * shape.channels + c) * shape.out_channels + o;
                  const std::int64_t out =
                      ((std::int64_t{image} * shape.out_height + i) * shape.out_width + j) *
                          shape.out_channels +
                      o;
                  visit(static_cast<std::size_t>(in), static_cast<std::size_t>(weight),
                        static_cast<std::size_t>(out));
                }
              }
            }
          }
        }
      }
    }
  }
};

void add_convolution_cases(const ConvolutionSizes& sizes, Activation activation,
                           std::vector<OpCase>& cases) {
  const Convolution data(sizes);
  const std::string name = fmt::format(
      "B{}_R{}_{}x{}x{}_to_{}_K{}_S{}{}", sizes.batch, sizes.images, sizes.height, sizes.width,
      sizes.channels, sizes.out_channels, sizes.kernel, sizes.stride, sizes.valid ? "_valid" : "");
  cases.push_back(
      {"convolution", fmt::format("{}_{}", name, name_of(activation)), tolerance::kConvolution,
       [=](OpRun& run) {
         ConvolutionArgs args;
         args.shape = data.shape;
         args.activation = activation;
         args.input = run.in(data.input);
         args.weights = run.in(data.weights);
         args.weights_stride = data.weights_stride;
         args.bias = run.in(data.bias);
         args.bias_stride = data.bias_stride;
         args.output = run.out(data.adjoint.size());
         run.costs(args);
         run.backend().convolution(args);
       },
       [=] {
         Doubles output(data.adjoint.size());
         data.visit_products([&](std::size_t in, std::size_t weight, std::size_t out) {
           output[out] += double{data.input[in]} * data.weights[weight];
         });
         const std::size_t channels = static_cast<std::size_t>(data.shape.out_channels);
         const std::size_t of_task = output.size() / static_cast<std::size_t>(data.shape.batch);
         for (std::size_t i = 0; i < output.size(); ++i) {
           const std::size_t task = i / of_task;
           const float bias =
               data.bias[task * static_cast<std::size_t>(data.bias_stride) + i % channels];
           output[i] = activation_of(activation, output[i] + bias);
         }
         return std::vector<Doubles>{output};
       }});
  if (activation != Activation::kIdentity) return;
  cases.push_back({"convolution_backward_input", name, tolerance::kConvolution,
                   [=](OpRun& run) {
                     ConvolutionBackwardInputArgs args;
                     args.shape = data.shape;
                     args.output_adjoint = run.in(data.adjoint);
                     args.weights = run.in(data.weights);
                     args.weights_stride = data.weights_stride;
                     args.input_adjoint = run.out(data.input.size());
                     run.costs(args);
                     run.backend().convolution_backward_input(args);
                   },
                   [=] {
                     Doubles adjoint(data.input.size());
                     data.visit_products([&](std::size_t in, std::size_t weight, std::size_t out) {
                       adjoint[in] += double{data.adjoint[out]} * data.weights[weight];
                     });
                     return std::vector<Doubles>{adjoint};
                   }});
  cases.push_back({"convolution_backward_weights", name, tolerance::kConvolution,
                   [=](OpRun& run) {
                     ConvolutionBackwardWeightsArgs args;
                     args.shape = data.shape;
                     args.input = run.in(data.input);
                     args.output_adjoint = run.in(data.adjoint);
                     args.weights_gradient = run.out(data.weights.size());
                     args.weights_gradient_stride = data.weights_stride;
                     run.costs(args);
                     run.backend().convolution_backward_weights(args);
                   },
                   [=] {
                     Doubles gradient(data.weights.size());
                     data.visit_products([&](std::size_t in, std::size_t weight, std::size_t out) {
                       gradient[weight] += double{data.adjoint[out]} * data.input[in];
                     });
                     for (std::size_t i = 0; i < gradient.size(); ++i) {
                       const auto place = static_cast<std::int64_t>(i) % data.weights_stride;
                       if (place >= data.weights_size) gradient[i] = kUntouched;
                     }
                     return std::vector<Doubles>{gradient};
                   }});
}

/// The shape with the size of its output, which follows from the rest.
PoolShape with_output(PoolShape shape) {
  shape.out_height = (shape.height - shape.kernel_height) / shape.stride + 1;
  shape.out_width = (shape.width - shape.kernel_width) / shape.stride + 1;
  return shape;
}

const PoolShape kPools[] = {
    {.images = 3,
     .height = 8,
     .width = 8,
     .channels = 16,
     .kernel_height = 2,
     .kernel_width = 2,
     .stride = 2},
    {.images = 2,
     .height = 7,
     .width = 9,
     .channels = 3,
     .kernel_height = 3,
     .kernel_width = 3,
     .stride = 2},
    {.images = 1, .height = 5, .width = 5, .channels = 1, .kernel_height = 5, .kernel_width = 5},
    {.images = 2, .height = 6, .width = 7, .channels = 5, .stride = 3},
    {.pooling = Pooling::kMean,
     .images = 3,
     .height = 8,
     .width = 6,
     .channels = 4,
     .kernel_height = 2,
     .kernel_width = 2,
     .stride = 2},
    {.pooling = Pooling::kMean,
     .images = 2,
     .height = 7,
     .width = 7,
     .channels = 3,
     .kernel_height = 3,
     .kernel_width = 3},
    {.pooling = Pooling::kMean,
     .images = 5,
     .height = 4,
     .width = 6,
     .channels = 33,
     .kernel_height = 4,
     .kernel_width = 6}};

struct PoolResult {
  Doubles output, argmax, input_adjoint;
};

/// Windows and their values, one by one. Of several NaNs in a window the last is chosen, as in
/// PyTorch.
PoolResult pool_by_hand(const PoolShape& shape, const Floats& input, const Floats& adjoint) {
  PoolResult result;
  result.input_adjoint.assign(input.size(), 0.0);
  std::size_t out = 0;
  for (std::int64_t image = 0; image < shape.images; ++image) {
    for (int i = 0; i < shape.out_height; ++i) {
      for (int j = 0; j < shape.out_width; ++j) {
        for (int c = 0; c < shape.channels; ++c, ++out) {
          double sum = 0.0, largest = -std::numeric_limits<double>::infinity();
          int argmax = 0;
          const auto at = [&](int place) {
            const std::int64_t y = i * shape.stride + place / shape.kernel_width;
            const std::int64_t x = j * shape.stride + place % shape.kernel_width;
            return static_cast<std::size_t>(
                ((image * shape.height + y) * shape.width + x) * shape.channels + c);
          };
          const int places = shape.kernel_height * shape.kernel_width;
          for (int place = 0; place < places; ++place) {
            const float value = input[at(place)];
            sum += value;
            if (value > largest || std::isnan(value)) {
              largest = value;
              argmax = place;
            }
          }
          if (shape.pooling == Pooling::kMax) {
            result.output.push_back(largest);
            result.argmax.push_back(argmax);
            result.input_adjoint[at(argmax)] += adjoint[out];
          } else {
            result.output.push_back(sum / places);
            for (int place = 0; place < places; ++place) {
              result.input_adjoint[at(place)] += double{adjoint[out]} / places;
            }
          }
        }
      }
    }
  }
  return result;
}

void add_pool_cases(const PoolShape& shape, const std::string& values, const Floats& input,
                    std::vector<OpCase>& cases) {
  const bool is_max = shape.pooling == Pooling::kMax;
  const Floats adjoint =
      uniform(2, shape.images * shape.out_height * shape.out_width * shape.channels);
  const std::string name = fmt::format(
      "{}_{}x{}x{}x{}_K{}x{}_S{}{}", is_max ? "max" : "mean", shape.images, shape.height,
      shape.width, shape.channels, shape.kernel_height, shape.kernel_width, shape.stride, values);
  cases.push_back({"pool", name, tolerance::kElement,
                   [=](OpRun& run) {
                     PoolArgs args{.shape = shape, .input = run.in(input)};
                     args.output = run.out(adjoint.size());
                     if (is_max) args.argmax = run.out_integers(adjoint.size());
                     run.costs(args);
                     run.backend().pool(args);
                   },
                   [=] {
                     const PoolResult result = pool_by_hand(shape, input, adjoint);
                     return is_max ? std::vector<Doubles>{result.output, result.argmax}
                                   : std::vector<Doubles>{result.output};
                   }});
  cases.push_back(
      {"pool_backward", name, tolerance::kElement,
       [=](OpRun& run) {
         const Doubles argmax = pool_by_hand(shape, input, adjoint).argmax;
         PoolBackwardArgs args{.shape = shape, .output_adjoint = run.in(adjoint)};
         if (is_max) {
           args.argmax = run.in(std::vector<std::uint16_t>(argmax.begin(), argmax.end()));
         }
         args.input_adjoint = run.out(input.size());
         run.costs(args);
         run.backend().pool_backward(args);
       },
       [=] { return std::vector<Doubles>{pool_by_hand(shape, input, adjoint).input_adjoint}; }});
}

/// Few distinct values, so that many windows have two equal maxima.
Floats whole_numbers(const PoolShape& shape) {
  Floats values = uniform(1, shape.images * shape.height * shape.width * shape.channels, -4.0, 4.0);
  for (float& value : values) value = std::floor(value);
  return values;
}

/// A window per row of the image. NaN comes first, after a larger value, before a larger one, twice
/// and everywhere; and windows without it, two of them of infinities.
void add_not_finite_pool_cases(Pooling pooling, std::vector<OpCase>& cases) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr int kWidth = 4;
  constexpr float kWindows[][kWidth] = {{kNan, 1, 2, -3},
                                        {1, 5, kNan, 2},
                                        {1, kNan, 5, kInfinity},
                                        {2, kNan, 7, kNan},
                                        {kNan, kNan, kNan, kNan},
                                        {1, 4, 4, 3},
                                        {-kInfinity, -kInfinity, -kInfinity, -kInfinity},
                                        {-3, kInfinity, kInfinity, 2}};
  constexpr int kCount = std::size(kWindows);
  const PoolShape shape = with_output({.pooling = pooling,
                                       .images = 1,
                                       .height = kCount,
                                       .width = kWidth,
                                       .channels = 19,
                                       .kernel_width = kWidth});
  Floats input;  // neighboring channels have different windows
  for (int row = 0; row < shape.height; ++row) {
    for (int column = 0; column < shape.width; ++column) {
      for (int c = 0; c < shape.channels; ++c) {
        input.push_back(kWindows[(row + c) % kCount][column]);
      }
    }
  }
  add_pool_cases(shape, "_not_finite", input, cases);
}

}  // namespace

std::vector<OpCase> image_cases() {
  std::vector<OpCase> cases;
  for (const ConvolutionSizes& sizes : kConvolutions) {
    add_convolution_cases(sizes, Activation::kIdentity, cases);
  }
  for (const Activation activation : kActivations) {
    if (activation == Activation::kIdentity || !slope_depends_only_on_output(activation)) continue;
    add_convolution_cases(kConvolutions[1], activation, cases);
  }
  for (const PoolShape& pool : kPools) {
    const PoolShape shape = with_output(pool);
    add_pool_cases(shape, "", whole_numbers(shape), cases);
  }
  for (const Pooling pooling : {Pooling::kMax, Pooling::kMean}) {
    add_not_finite_pool_cases(pooling, cases);
  }
  return cases;
}

}  // namespace l2o::test
