// The coordinatewise LSTM and its meta-gradient in plain float64, straight from docs/math.md
// (sections 1 and 2), as a reference for tests. Deliberately uses none of the engine's headers, so
// that a mistake there cannot hide here. Slow and simple: keeps everything, recomputes nothing.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace reference {

using Vector = std::vector<double>;

enum class Inputs { kGradient, kLogAndSign, kMoments, kAdamMoments };
enum class Outputs { kLinear, kTanh, kModulated };

/// A learned rule. phi is flat: W_in [D][inputs] and b_in [D] of the input projection, if D > 0,
/// then per layer W_ih [4H][in], W_hh [4H][H], b [4H] (gates i, f, g, o), then w_out [outputs][H]
/// and b_out [outputs].
struct Lstm {
  int layers = 2;
  int hidden = 20;
  Inputs preprocessing = Inputs::kLogAndSign;
  double p = 10.0;
  int projection = 0;  // D
  Outputs output = Outputs::kLinear;
  double output_scale = 0.1;
  Vector phi;

  int inputs() const {
    if (preprocessing == Inputs::kGradient) return 1;
    return preprocessing == Inputs::kAdamMoments ? 4 : 2;
  }
  int outputs() const { return output == Outputs::kModulated ? 2 : 1; }
  int first_inputs() const { return projection > 0 ? projection : inputs(); }
  int layer_inputs(int layer) const { return layer == 0 ? first_inputs() : hidden; }
  int layer_size(int layer) const { return 4 * hidden * (layer_inputs(layer) + hidden + 1); }
  int layer_begin(int layer) const {
    int begin = projection * (inputs() + 1);
    for (int below = 0; below < layer; ++below) begin += layer_size(below);
    return begin;
  }
  int output_begin() const { return layer_begin(layers); }
  int output_inputs() const { return layers == 0 ? first_inputs() : hidden; }
  int phi_size() const { return output_begin() + outputs() * (output_inputs() + 1); }
  /// h and c of every layer: [layer][h, c][unit]; followed by the moments and the age.
  int lstm_state_size() const { return 2 * layers * hidden; }
  int state_size() const {
    if (preprocessing == Inputs::kMoments) return lstm_state_size() + 3;
    return lstm_state_size() + (preprocessing == Inputs::kAdamMoments ? 5 : 0);
  }
};

/// One layer of one step: its inputs, its gates, and the new c.
struct LayerRecord {
  Vector x, h_before, c_before;
  Vector i, f, g, o, c;
};

/// One step of one coordinate.
struct StepRecord {
  Vector preprocessed;
  Vector projection;  // before ELU
  std::vector<LayerRecord> layers;
  Vector output_input;     // input of the output layer
  Vector output;           // o = w_out x + b_out
  double direction = 0.0;  // Adam's
  double update = 0.0;
};

/// Returns the inputs of the first layer; updates the moments in `state`. Stores Adam's direction
/// in `direction`.
inline Vector preprocess(const Lstm& lstm, double gradient, Vector& state, double& direction) {
  double* moment = state.data() + lstm.lstm_state_size();
  const double g = std::clamp(gradient, -1e18, 1e18);
  const auto root = [](double second_moment) { return std::sqrt(second_moment) + 1e-8; };
  switch (lstm.preprocessing) {
    case Inputs::kGradient:
      return {gradient};
    case Inputs::kLogAndSign:
      break;
    case Inputs::kMoments: {
      moment[0] += 0.05 * (g - moment[0]);
      moment[1] += 0.05 * (g * g - moment[1]);
      moment[2] += 1.0;
      const double correction = 1.0 - std::pow(0.95, moment[2]);
      const double r = root(moment[1] / correction);
      return {moment[0] / correction / r, g / r};
    }
    case Inputs::kAdamMoments: {
      moment[0] += 0.1 * (g - moment[0]);
      moment[1] += 0.05 * (g * g - moment[1]);
      moment[2] += 0.01 * (g - moment[2]);
      moment[3] += 0.001 * (g * g - moment[3]);
      moment[4] += 1.0;
      const double m = moment[0] / (1.0 - std::pow(0.9, moment[4]));
      const double fast = root(moment[1] / (1.0 - std::pow(0.95, moment[4])));
      const double slow = root(moment[3] / (1.0 - std::pow(0.999, moment[4])));
      direction = m / slow;
      return {m / fast, g / fast, 3.0 * moment[2] / slow, 0.3 * std::log(slow / fast)};
    }
  }
  const double magnitude = std::min(std::abs(gradient), double{std::numeric_limits<float>::max()});
  if (magnitude >= std::exp(-lstm.p)) {
    return {std::log(magnitude) / lstm.p, gradient > 0.0 ? 1.0 : -1.0};
  }
  return {-1.0, std::exp(lstm.p) * gradient};
}

/// One step of one coordinate; updates `state` [state_size].
inline StepRecord step(const Lstm& lstm, double gradient, Vector& state) {
  const int hidden = lstm.hidden;
  const auto sigmoid = [](double z) { return 1.0 / (1.0 + std::exp(-z)); };
  StepRecord record;
  Vector x = preprocess(lstm, gradient, state, record.direction);
  record.preprocessed = x;
  if (lstm.projection > 0) x.clear();
  for (int unit = 0; unit < lstm.projection; ++unit) {
    double z = lstm.phi[lstm.projection * lstm.inputs() + unit];
    for (int k = 0; k < lstm.inputs(); ++k) {
      z += lstm.phi[unit * lstm.inputs() + k] * record.preprocessed[k];
    }
    record.projection.push_back(z);
    x.push_back(z > 0.0 ? z : std::exp(z) - 1.0);
  }
  for (int layer = 0; layer < lstm.layers; ++layer) {
    const auto h = state.begin() + 2 * layer * hidden, c = h + hidden;
    LayerRecord now;
    now.x = x;
    now.h_before = Vector(h, h + hidden);
    now.c_before = Vector(c, c + hidden);

    // z = W_ih x + W_hh h + b
    const int inputs = lstm.layer_inputs(layer);
    const double* w_ih = lstm.phi.data() + lstm.layer_begin(layer);
    const double* w_hh = w_ih + 4 * hidden * inputs;
    const double* b = w_hh + 4 * hidden * hidden;
    Vector z(b, b + 4 * hidden);
    for (int row = 0; row < 4 * hidden; ++row) {
      for (int k = 0; k < inputs; ++k) z[row] += w_ih[row * inputs + k] * now.x[k];
      for (int k = 0; k < hidden; ++k) z[row] += w_hh[row * hidden + k] * now.h_before[k];
    }

    x.assign(hidden, 0.0);
    for (int unit = 0; unit < hidden; ++unit) {
      now.i.push_back(sigmoid(z[unit]));
      now.f.push_back(sigmoid(z[hidden + unit]));
      now.g.push_back(std::tanh(z[2 * hidden + unit]));
      now.o.push_back(sigmoid(z[3 * hidden + unit]));
      now.c.push_back(now.f[unit] * now.c_before[unit] + now.i[unit] * now.g[unit]);
      x[unit] = now.o[unit] * std::tanh(now.c[unit]);
      h[unit] = x[unit];
      c[unit] = now.c[unit];
    }
    record.layers.push_back(now);
  }
  record.output_input = x;
  const double* w_out = lstm.phi.data() + lstm.output_begin();
  const double* b_out = w_out + lstm.outputs() * x.size();
  for (int row = 0; row < lstm.outputs(); ++row) {
    record.output.push_back(b_out[row]);
    for (std::size_t j = 0; j < x.size(); ++j) {
      record.output[row] += w_out[row * x.size() + j] * x[j];
    }
  }
  const Vector& o = record.output;
  record.update =
      lstm.output == Outputs::kLinear ? o[0]
      : lstm.output == Outputs::kTanh
          ? std::tanh(o[0])
          : -(std::exp(std::clamp(o[0], -6.0, 3.0)) * record.direction + std::tanh(o[1]));
  record.update *= lstm.output_scale;
  return record;
}

/// The backward pass of one step. Turns `state_adjoint` [state_size] after the step into that
/// before it; adds to the gradient of phi.
inline void step_backward(const Lstm& lstm, const StepRecord& record, double update_adjoint,
                          Vector& state_adjoint, Vector& phi_gradient) {
  const int hidden = lstm.hidden;
  const double* w_out = lstm.phi.data() + lstm.output_begin();
  double* w_out_gradient = phi_gradient.data() + lstm.output_begin();
  const auto tanh_slope = [](double o) { return 1.0 - std::tanh(o) * std::tanh(o); };
  Vector output_adjoint(lstm.outputs(), lstm.output_scale * update_adjoint);
  if (lstm.output == Outputs::kTanh) output_adjoint[0] *= tanh_slope(record.output[0]);
  if (lstm.output == Outputs::kModulated) {
    const bool inside = -6.0 <= record.output[0] && record.output[0] <= 3.0;
    output_adjoint[0] *= inside ? -std::exp(record.output[0]) * record.direction : 0.0;
    output_adjoint[1] *= -tanh_slope(record.output[1]);
  }
  const std::size_t width = record.output_input.size();
  Vector x_adjoint(width, 0.0);  // adjoint of the input of the layer above (or of the output)
  for (int row = 0; row < lstm.outputs(); ++row) {
    for (std::size_t j = 0; j < width; ++j) {
      w_out_gradient[row * width + j] += output_adjoint[row] * record.output_input[j];
      x_adjoint[j] += output_adjoint[row] * w_out[row * width + j];
    }
    w_out_gradient[lstm.outputs() * width + row] += output_adjoint[row];
  }

  for (int layer = lstm.layers - 1; layer >= 0; --layer) {
    const LayerRecord& now = record.layers[layer];
    const auto h_adjoint = state_adjoint.begin() + 2 * layer * hidden;
    const auto c_adjoint = h_adjoint + hidden;
    Vector z_adjoint(4 * hidden);
    for (int unit = 0; unit < hidden; ++unit) {
      const double i = now.i[unit], f = now.f[unit], g = now.g[unit], o = now.o[unit];
      const double tanh_c = std::tanh(now.c[unit]);
      const double dh = h_adjoint[unit] + x_adjoint[unit];
      const double dc = c_adjoint[unit] + dh * o * (1.0 - tanh_c * tanh_c);
      z_adjoint[unit] = dc * g * i * (1.0 - i);
      z_adjoint[hidden + unit] = dc * now.c_before[unit] * f * (1.0 - f);
      z_adjoint[2 * hidden + unit] = dc * i * (1.0 - g * g);
      z_adjoint[3 * hidden + unit] = dh * tanh_c * o * (1.0 - o);
      c_adjoint[unit] = dc * f;
    }

    const int inputs = lstm.layer_inputs(layer);
    const int w_ih = lstm.layer_begin(layer);
    const int w_hh = w_ih + 4 * hidden * inputs, b = w_hh + 4 * hidden * hidden;
    x_adjoint.assign(inputs, 0.0);
    for (int unit = 0; unit < hidden; ++unit) h_adjoint[unit] = 0.0;
    for (int row = 0; row < 4 * hidden; ++row) {
      for (int k = 0; k < inputs; ++k) {
        phi_gradient[w_ih + row * inputs + k] += z_adjoint[row] * now.x[k];
        x_adjoint[k] += lstm.phi[w_ih + row * inputs + k] * z_adjoint[row];
      }
      for (int k = 0; k < hidden; ++k) {
        phi_gradient[w_hh + row * hidden + k] += z_adjoint[row] * now.h_before[k];
        h_adjoint[k] += lstm.phi[w_hh + row * hidden + k] * z_adjoint[row];
      }
      phi_gradient[b + row] += z_adjoint[row];
    }
  }

  for (int unit = 0; unit < lstm.projection; ++unit) {
    const double z = record.projection[unit];
    const double z_adjoint = x_adjoint[unit] * (z > 0.0 ? 1.0 : std::exp(z));
    for (int k = 0; k < lstm.inputs(); ++k) {
      phi_gradient[unit * lstm.inputs() + k] += z_adjoint * record.preprocessed[k];
    }
    phi_gradient[lstm.projection * lstm.inputs() + unit] += z_adjoint;
  }
}

/// An unroll with a given gradient trace: N coordinates, T steps.
struct Unroll {
  std::vector<Vector> trace;        // [T+1][N]
  Vector weights;                   // [T+1]
  std::vector<Vector> start_state;  // [N][state_size]
  std::vector<Vector> scales = {};  // [T][N] of the updates; empty: all 1

  int steps() const { return static_cast<int>(weights.size()) - 1; }
  std::size_t coordinates() const { return start_state.size(); }
  double scale(int t, std::size_t n) const { return scales.empty() ? 1.0 : scales[t][n]; }
};

/// d/d phi of sum_t w[t] f(theta[t]), with constant gradients of f (the trace).
inline Vector meta_gradient(const Lstm& lstm, const Unroll& unroll) {
  Vector phi_gradient(lstm.phi_size(), 0.0);
  const int steps = unroll.steps();
  for (std::size_t n = 0; n < unroll.coordinates(); ++n) {
    Vector state = unroll.start_state[n];
    std::vector<StepRecord> records;
    for (int t = 0; t < steps; ++t) records.push_back(step(lstm, unroll.trace[t][n], state));

    Vector state_adjoint(lstm.state_size(), 0.0);
    double lambda = unroll.weights[steps] * unroll.trace[steps][n];
    for (int t = steps - 1; t >= 0; --t) {
      step_backward(lstm, records[t], unroll.scale(t, n) * lambda, state_adjoint, phi_gradient);
      lambda += unroll.weights[t] * unroll.trace[t][n];
    }
  }
  return phi_gradient;
}

/// The sum, over groups of `size` neighboring coordinates, of the meta-gradient of the group's
/// coordinates alone, with w[t] times the group's weight: group_weights [groups], or [T+1][groups]
/// if they differ between evaluations.
inline Vector weighted_meta_gradient(const Lstm& lstm, const Unroll& unroll, std::size_t size,
                                     const std::vector<float>& group_weights) {
  Vector sum(static_cast<std::size_t>(lstm.phi_size()), 0.0);
  const std::size_t groups = (unroll.coordinates() + size - 1) / size;
  const bool vary = group_weights.size() > groups;
  for (std::size_t group = 0; group < groups; ++group) {
    const auto first = static_cast<std::ptrdiff_t>(group * size);
    const auto end =
        static_cast<std::ptrdiff_t>(std::min((group + 1) * size, unroll.coordinates()));
    Unroll part = {
        .trace = {},
        .weights = {},
        .start_state = {unroll.start_state.begin() + first, unroll.start_state.begin() + end}};
    for (const Vector& row : unroll.trace) {
      part.trace.emplace_back(row.begin() + first, row.begin() + end);
    }
    for (const Vector& row : unroll.scales) {
      part.scales.emplace_back(row.begin() + first, row.begin() + end);
    }
    for (std::size_t t = 0; t < unroll.weights.size(); ++t) {
      part.weights.push_back(unroll.weights[t] *
                             double{group_weights[vary ? t * groups + group : group]});
    }
    const Vector of_group = meta_gradient(lstm, part);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += of_group[i];
  }
  return sum;
}

/// sum_t w[t] grad[t] . (theta[t] - theta[0]): its derivative with respect to phi is the
/// meta-gradient, and finite differences apply, since the trace is fixed.
inline double frozen_meta_loss(const Lstm& lstm, const Unroll& unroll) {
  double loss = 0.0;
  for (std::size_t n = 0; n < unroll.coordinates(); ++n) {
    Vector state = unroll.start_state[n];
    double moved = 0.0;
    for (int t = 0; t < unroll.steps(); ++t) {
      moved += unroll.scale(t, n) * step(lstm, unroll.trace[t][n], state).update;
      loss += unroll.weights[t + 1] * unroll.trace[t + 1][n] * moved;
    }
  }
  return loss;
}

}  // namespace reference
