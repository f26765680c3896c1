// Networks in float64, written only from docs/tasks.md: the forward pass, one value at a time. The
// gradient is computed by central differences.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace l2o::test {

/// "conv 8 3 stride 2", or a residual block.
struct ReferenceLayer {
  ReferenceLayer(const char* text_of_layer) : text(text_of_layer) {}
  ReferenceLayer(std::vector<ReferenceLayer> layers) : block(std::move(layers)) {}

  std::string text = {};
  std::vector<ReferenceLayer> block = {};

  /// In the syntax of the key `layers`.
  std::string toml() const { return block.empty() ? '"' + text + '"' : toml(block); }
  static std::string toml(const std::vector<ReferenceLayer>& layers) {
    std::string list = "[";
    for (const ReferenceLayer& layer : layers) list += layer.toml() + ",";
    return list + "]";
  }
};

/// Rows of images [R, height, width, channels].
struct ReferenceValues {
  std::size_t rows = 0, height = 1, width = 1, channels = 0;
  std::vector<double> values = {};

  ReferenceValues(std::size_t r, std::size_t h, std::size_t w, std::size_t c)
      : rows(r), height(h), width(w), channels(c), values(r * h * w * c) {}
  std::size_t size() const { return height * width * channels; }
  double& at(std::size_t r, std::size_t y, std::size_t x, std::size_t c) {
    return values[((r * height + y) * width + x) * channels + c];
  }
  double at(std::size_t r, std::size_t y, std::size_t x, std::size_t c) const {
    return values[((r * height + y) * width + x) * channels + c];
  }
};

class ReferenceNetwork {
 public:
  ReferenceNetwork(std::vector<ReferenceLayer> layers, int outputs) : layers_(std::move(layers)) {
    last_ = "dense " + std::to_string(outputs);
    layers_.emplace_back(last_.c_str());
  }

  /// The outputs [R, outputs] for theta, tensor by tensor in the order of the layers.
  ReferenceValues operator()(const ReferenceValues& input, const std::vector<double>& theta) {
    theta_ = &theta;
    next_ = 0;
    ReferenceValues output = run(layers_, input);
    if (next_ != theta.size()) throw std::logic_error("theta has the wrong number of parameters");
    return output;
  }

 private:
  double take() { return theta_->at(next_++); }
  std::vector<double> take(std::size_t count) {
    std::vector<double> values(count);
    for (double& value : values) value = take();
    return values;
  }

  ReferenceValues run(const std::vector<ReferenceLayer>& layers, ReferenceValues values) {
    for (const ReferenceLayer& layer : layers) {
      if (layer.block.empty()) {
        values = run(layer.text, values);
      } else {
        const ReferenceValues inside = run(layer.block, values);
        for (std::size_t i = 0; i < inside.values.size(); ++i) values.values[i] += inside.values[i];
      }
    }
    return values;
  }

  ReferenceValues run(const std::string& text, const ReferenceValues& in) {
    std::istringstream words(text);
    std::string kind, word;
    words >> kind;
    std::vector<std::size_t> arguments;
    std::size_t stride = 0;
    bool valid = false;
    while (words >> word) {
      if (word == "stride") {
        words >> stride;
      } else if (word == "valid") {
        valid = true;
      } else {
        arguments.push_back(std::stoul(word));
      }
    }
    if (kind == "dense") return dense(in, arguments.at(0));
    if (kind == "conv") {
      return convolution(in, arguments.at(0), arguments.at(1), std::max<std::size_t>(stride, 1),
                         valid);
    }
    if (kind == "max_pool" || kind == "avg_pool") {
      return pool(in, kind == "max_pool", arguments.at(0), arguments.at(0),
                  stride == 0 ? arguments.at(0) : stride);
    }
    if (kind == "global_avg_pool") return pool(in, false, in.height, in.width, 1);
    if (kind == "batch_norm") return batch_norm(in);
    if (kind == "layer_norm") return layer_norm(in);
    ReferenceValues out = in;
    for (double& value : out.values) value = activation(kind, value);
    return out;
  }

  static double activation(const std::string& kind, double x) {
    if (kind == "relu") return std::max(x, 0.0);
    if (kind == "sigmoid") return 1.0 / (1.0 + std::exp(-x));
    if (kind == "tanh") return std::tanh(x);
    if (kind == "elu") return x > 0.0 ? x : std::expm1(x);
    if (kind == "gelu") return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    if (kind == "softplus") return x > 30.0 ? x : std::log1p(std::exp(x));
    throw std::logic_error("unknown layer: " + kind);
  }

  ReferenceValues dense(const ReferenceValues& in, std::size_t units) {
    const std::vector<double> weight = take(in.size() * units), bias = take(units);
    ReferenceValues out(in.rows, 1, 1, units);
    for (std::size_t r = 0; r < in.rows; ++r) {
      for (std::size_t j = 0; j < units; ++j) {
        double sum = bias[j];
        for (std::size_t i = 0; i < in.size(); ++i) {
          sum += in.values[r * in.size() + i] * weight[i * units + j];
        }
        out.at(r, 0, 0, j) = sum;
      }
    }
    return out;
  }

  /// Calls visit(y, x, from_y, from_x, tap) for every output and every pixel of the image in the
  /// output's window.
  template <class Visit>
  static void for_each_in_windows(const ReferenceValues& in, const ReferenceValues& out,
                                  std::size_t kernel_y, std::size_t kernel_x, std::size_t stride,
                                  std::size_t padding, Visit visit) {
    for (std::size_t y = 0; y < out.height; ++y) {
      for (std::size_t x = 0; x < out.width; ++x) {
        for (std::size_t i = 0; i < kernel_y; ++i) {
          for (std::size_t j = 0; j < kernel_x; ++j) {
            const std::size_t from_y = y * stride + i, from_x = x * stride + j;
            if (from_y < padding || from_y - padding >= in.height) continue;
            if (from_x < padding || from_x - padding >= in.width) continue;
            visit(y, x, from_y - padding, from_x - padding, i * kernel_x + j);
          }
        }
      }
    }
  }

  ReferenceValues convolution(const ReferenceValues& in, std::size_t channels, std::size_t kernel,
                              std::size_t stride, bool valid) {
    const std::size_t padding = valid ? 0 : (kernel - 1) / 2;
    const auto outputs = [&](std::size_t size) {
      return valid ? (size - kernel) / stride + 1 : (size + stride - 1) / stride;
    };
    const std::vector<double> weight = take(kernel * kernel * in.channels * channels),
                              bias = take(channels);
    ReferenceValues out(in.rows, outputs(in.height), outputs(in.width), channels);
    for (std::size_t i = 0; i < out.values.size(); ++i) out.values[i] = bias[i % channels];
    for_each_in_windows(
        in, out, kernel, kernel, stride, padding,
        [&](std::size_t y, std::size_t x, std::size_t from_y, std::size_t from_x, std::size_t tap) {
          for (std::size_t r = 0; r < in.rows; ++r) {
            for (std::size_t c = 0; c < in.channels; ++c) {
              for (std::size_t k = 0; k < channels; ++k) {
                out.at(r, y, x, k) +=
                    in.at(r, from_y, from_x, c) * weight[(tap * in.channels + c) * channels + k];
              }
            }
          }
        });
    return out;
  }

  static ReferenceValues pool(const ReferenceValues& in, bool largest, std::size_t kernel_y,
                              std::size_t kernel_x, std::size_t stride) {
    ReferenceValues out(in.rows, (in.height - kernel_y) / stride + 1,
                        (in.width - kernel_x) / stride + 1, in.channels);
    if (largest) std::fill(out.values.begin(), out.values.end(), -HUGE_VAL);
    const double area = static_cast<double>(kernel_y * kernel_x);
    for_each_in_windows(
        in, out, kernel_y, kernel_x, stride, 0,
        [&](std::size_t y, std::size_t x, std::size_t from_y, std::size_t from_x, std::size_t) {
          for (std::size_t r = 0; r < in.rows; ++r) {
            for (std::size_t c = 0; c < in.channels; ++c) {
              double& value = out.at(r, y, x, c);
              const double from = in.at(r, from_y, from_x, c);
              value = largest ? std::max(value, from) : value + from / area;
            }
          }
        });
    return out;
  }

  /// Normalizes the values first, first + stride, ... to mean 0 and variance 1.
  static void normalize(std::vector<double>& values, std::size_t first, std::size_t stride,
                        std::size_t count) {
    const double n = static_cast<double>(count);
    double mean = 0.0, variance = 0.0;
    for (std::size_t i = 0; i < count; ++i) mean += values[first + i * stride] / n;
    for (std::size_t i = 0; i < count; ++i) {
      const double distance = values[first + i * stride] - mean;
      variance += distance * distance / n;
    }
    for (std::size_t i = 0; i < count; ++i) {
      double& value = values[first + i * stride];
      value = (value - mean) / std::sqrt(variance + 1e-5);
    }
  }

  ReferenceValues batch_norm(const ReferenceValues& in) {
    ReferenceValues out = in;
    for (std::size_t c = 0; c < in.channels; ++c) {
      normalize(out.values, c, in.channels, in.values.size() / in.channels);
    }
    return scaled(std::move(out), in.channels);
  }

  ReferenceValues layer_norm(const ReferenceValues& in) {
    ReferenceValues out = in;
    for (std::size_t r = 0; r < in.rows; ++r) normalize(out.values, r * in.size(), 1, in.size());
    return scaled(std::move(out), in.size());
  }

  ReferenceValues scaled(ReferenceValues values, std::size_t parameters) {
    const std::vector<double> scale = take(parameters), shift = take(parameters);
    for (std::size_t i = 0; i < values.values.size(); ++i) {
      values.values[i] = values.values[i] * scale[i % parameters] + shift[i % parameters];
    }
    return values;
  }

  std::string last_;
  std::vector<ReferenceLayer> layers_;
  const std::vector<double>* theta_ = nullptr;
  std::size_t next_ = 0;
};

/// Mean over the rows of -log softmax at the label.
inline double cross_entropy(const ReferenceValues& outputs, const std::vector<int>& labels) {
  double loss = 0.0;
  for (std::size_t r = 0; r < outputs.rows; ++r) {
    double sum = 0.0;
    for (std::size_t j = 0; j < outputs.channels; ++j) sum += std::exp(outputs.at(r, 0, 0, j));
    loss += std::log(sum) - outputs.at(r, 0, 0, static_cast<std::size_t>(labels[r]));
  }
  return loss / static_cast<double>(outputs.rows);
}

/// Mean over rows and values of (output - target)^2.
inline double mean_squared_error(const ReferenceValues& outputs,
                                 const std::vector<double>& targets) {
  double loss = 0.0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double distance = outputs.values[i] - targets[i];
    loss += distance * distance;
  }
  return loss / static_cast<double>(targets.size());
}

}  // namespace l2o::test
