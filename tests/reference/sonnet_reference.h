// The CoordinateWiseDeepLSTM of DeepMind's learning-to-learn in plain float64, from the formulas of
// its networks.py and preprocess.py and of Sonnet's LSTM, with the same matrix layouts; and RNNprop
// of Open-L2O, from its networks.py and meta_rnnprop_train.py. Deliberately uses none of the
// engine's headers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace reference {

struct SonnetLayer {
  std::vector<double> w_gates;  // [inputs + H][4H], gates i, j, f, o
  std::vector<double> b_gates;  // [4H]
};

struct SonnetNetwork {
  std::vector<double> projection_w, projection_b;  // [2][D], [D]; RNNprop only
  std::vector<SonnetLayer> layers;
  std::vector<double> w;  // [H][1], or [inputs][1] without layers
  double b = 0.0;
  bool log_and_sign = true;
  double k = 5.0;
  double scale = 0.01;

  /// [layer][h, c][unit], then RNNprop's moments m and v and the number of steps
  using State = std::vector<std::vector<double>>;

  bool is_rnnprop() const { return !projection_b.empty(); }

  State initial_state() const {
    State state;
    for (const SonnetLayer& layer : layers) state.emplace_back(layer.b_gates.size() / 2, 0.0);
    state.push_back({0.0, 0.0, 0.0});
    return state;
  }

  /// elu(concat(m, g) @ w + b), m and g normalized.
  std::vector<double> project(double gradient, std::vector<double>& moments) const {
    constexpr double kBeta = 0.95, kEpsilon = 1e-8;  // evaluate_rnnprop.py: beta1 and beta2
    moments[0] = kBeta * moments[0] + (1.0 - kBeta) * gradient;
    moments[1] = kBeta * moments[1] + (1.0 - kBeta) * gradient * gradient;
    moments[2] += 1.0;
    const double correction = 1.0 - std::pow(kBeta, moments[2]);
    const double root = std::sqrt(moments[1] / correction) + kEpsilon;
    const double m = moments[0] / correction / root, g = gradient / root;
    std::vector<double> x = projection_b;
    for (std::size_t unit = 0; unit < x.size(); ++unit) {
      x[unit] += m * projection_w[unit] + g * projection_w[x.size() + unit];
      if (x[unit] < 0.0) x[unit] = std::exp(x[unit]) - 1.0;
    }
    return x;
  }

  std::vector<double> preprocess(double gradient) const {
    if (!log_and_sign) return {gradient};
    constexpr double kEpsilon = 1.1920928955078125e-07;  // np.finfo(np.float32).eps
    const double log = std::log(std::abs(gradient) + kEpsilon);
    return {std::max(log / k, -1.0), std::clamp(gradient * std::exp(k), -1.0, 1.0)};
  }

  double step(double gradient, State& state) const {
    const auto sigmoid = [](double z) { return 1.0 / (1.0 + std::exp(-z)); };
    std::vector<double> x = is_rnnprop() ? project(gradient, state.back()) : preprocess(gradient);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const std::size_t hidden = layers[l].b_gates.size() / 4;
      double* h = state[l].data();
      double* c = h + hidden;
      std::vector<double> gates = layers[l].b_gates;  // += concat(x, h) @ w_gates
      x.insert(x.end(), h, h + hidden);
      for (std::size_t row = 0; row < x.size(); ++row) {
        for (std::size_t column = 0; column < gates.size(); ++column) {
          gates[column] += x[row] * layers[l].w_gates[row * gates.size() + column];
        }
      }
      x.resize(hidden);
      for (std::size_t unit = 0; unit < hidden; ++unit) {
        const double i = gates[unit], j = gates[hidden + unit];
        const double f = gates[2 * hidden + unit], o = gates[3 * hidden + unit];
        constexpr double kForgetBias = 1.0;
        c[unit] = sigmoid(f + kForgetBias) * c[unit] + sigmoid(i) * std::tanh(j);
        h[unit] = std::tanh(c[unit]) * sigmoid(o);
        x[unit] = h[unit];
      }
    }
    double output = b;
    for (std::size_t row = 0; row < x.size(); ++row) output += x[row] * w[row];
    return scale * (is_rnnprop() ? std::tanh(output) : output);
  }
};

}  // namespace reference
