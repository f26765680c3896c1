// The learned rule: a stacked LSTM that runs on every coordinate separately; all coordinates share
// its weights (Andrychowicz et al. 2016, section 2.1). With x the preprocessed gradient,
//   z = W_ih x + W_hh h + b,   gates i, f, g, o of z in that order (PyTorch's),
//   c' = sigmoid(f) c + sigmoid(i) tanh(g),   h' = sigmoid(o) tanh(c'),
// layer l+1 reads h' of layer l, and the outputs o = w_out h'_top + b_out, or w_out x + b_out
// without layers, become the update as Output (cell.h) describes. With an input projection
// (RNNProp: Lv, Jiang & Li 2017), x = elu(W_in preprocessed + b_in).
//
// This is the readable version; the tuned kernels of the backends are tested against it.
#pragma once

#include <array>
#include <cmath>

#include "kernels/cells/cell.h"
#include "kernels/math/preprocessing.h"

namespace l2o {

/// Number of meta-parameters of the input projection, which phi begins with: W_in
/// [input_projection, inputs], then b_in [input_projection].
L2O_HOST_DEVICE constexpr int lstm_projection_size(const LstmConfig& lstm) {
  return lstm.input_projection * (lstm.inputs() + 1);
}

/// Position of one layer in phi; the weights are row-major, with the H rows of each gate together.
struct LstmLayerLayout {
  int inputs;     ///< length of x
  int weight_ih;  ///< offset of [4H, inputs]
  int weight_hh;  ///< offset of [4H, H]
  int bias;       ///< offset of [4H]
  int end;        ///< offset of the end of the layer
};

/// `layer` is in 0..layers-1.
L2O_HOST_DEVICE constexpr LstmLayerLayout lstm_layer_layout(const LstmConfig& lstm, int layer) {
  const int rows = 4 * lstm.hidden;
  int begin = lstm_projection_size(lstm), inputs = lstm.first_layer_inputs();
  for (int below = 0; below < layer; ++below) {
    begin += rows * (inputs + lstm.hidden + 1);
    inputs = lstm.hidden;
  }
  const int weight_hh = begin + rows * inputs, bias = weight_hh + rows * lstm.hidden;
  return {inputs, begin, weight_hh, bias, bias + rows};
}

/// Input size of the linear output layer.
L2O_HOST_DEVICE constexpr int lstm_output_inputs(const LstmConfig& lstm) {
  return lstm.layers == 0 ? lstm.first_layer_inputs() : lstm.hidden;
}

/// Offset in phi of w_out [outputs, lstm_output_inputs]; b_out [outputs] follows it and ends phi.
L2O_HOST_DEVICE constexpr int lstm_output_offset(const LstmConfig& lstm) {
  return lstm.layers == 0 ? lstm_projection_size(lstm)
                          : lstm_layer_layout(lstm, lstm.layers - 1).end;
}

/// Number of state values, without those of the preprocessing.
L2O_HOST_DEVICE constexpr int lstm_state_size(const LstmConfig& lstm) {
  return 2 * lstm.layers * lstm.hidden;
}

struct LstmCell {
  static constexpr const char* kName = "lstm";
  static constexpr std::array<HyperParameter, 0> kHyper = {};
  static constexpr float kLowestModulation = -6.0F, kHighestModulation = 3.0F;

  /// Per layer h [H], then c [H]; then the state of the preprocessing.
  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig& config) {
    return lstm_state_size(config.lstm) + config.lstm.preprocessing_state();
  }
  L2O_HOST_DEVICE static constexpr int meta_size(const CellConfig& config) {
    const LstmConfig& lstm = config.lstm;
    return lstm_output_offset(lstm) + lstm.outputs() * (lstm_output_inputs(lstm) + 1);
  }

  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* meta, T gradient, T* state) {
    const LstmConfig& lstm = config.lstm;
    const int hidden = lstm.hidden;
    T input[LstmConfig::kMaxInputs], projected[LstmConfig::kMaxHidden];
    const T direction = preprocess(lstm, gradient, state + lstm_state_size(lstm), input);
    const T* x = project(lstm, meta, input, projected);
    for (int layer = 0; layer < lstm.layers; ++layer) {
      T* h = state + 2 * layer * hidden;
      T* c = h + hidden;
      Gates<T> gates;
      compute_gates(lstm, meta, layer, x, h, c, gates);
      for (int unit = 0; unit < hidden; ++unit) {
        c[unit] = gates.f[unit] * c[unit] + gates.i[unit] * gates.g[unit];
        h[unit] = gates.o[unit] * gates.tanh_c[unit];
      }
      x = h;
    }
    T output[LstmConfig::kMaxOutputs] = {};
    compute_outputs(lstm, meta, x, output);
    switch (lstm.output) {
      case Output::kLinear:
        return T(lstm.output_scale) * output[0];
      case Output::kTanh:
        return T(lstm.output_scale) * std::tanh(output[0]);
      case Output::kModulated:
        return -T(lstm.output_scale) * (modulation(output[0]) * direction + std::tanh(output[1]));
    }
    return T(0);
  }

  template <class T, class Sink>
  L2O_HOST_DEVICE static void backward(const CellConfig& config, const T* meta, T gradient,
                                       const T* state, T update_adjoint, T* state_adjoint,
                                       Sink&& sink) {
    const LstmConfig& lstm = config.lstm;
    const int hidden = lstm.hidden;

    // Repeat the forward pass, keeping the gates and the input of every layer.
    T input[LstmConfig::kMaxInputs], projected[LstmConfig::kMaxHidden];
    T moments[LstmConfig::kMaxPreprocessingState];
    for (int s = 0; s < lstm.preprocessing_state(); ++s)
      moments[s] = state[lstm_state_size(lstm) + s];
    const T direction = preprocess(lstm, gradient, moments, input);
    Gates<T> gates[LstmConfig::kMaxLayers];
    T h_new[LstmConfig::kMaxLayers][LstmConfig::kMaxHidden];
    const T* const first_input = project(lstm, meta, input, projected);
    const T* x = first_input;
    for (int layer = 0; layer < lstm.layers; ++layer) {
      const T* h = state + 2 * layer * hidden;
      compute_gates(lstm, meta, layer, x, h, h + hidden, gates[layer]);
      for (int unit = 0; unit < hidden; ++unit) {
        h_new[layer][unit] = gates[layer].o[unit] * gates[layer].tanh_c[unit];
      }
      x = h_new[layer];
    }

    // The output. `above` is the adjoint of its input, then of that of each layer below.
    const int width = lstm_output_inputs(lstm), outputs = lstm.outputs();
    T output_adjoint[LstmConfig::kMaxOutputs] = {};
    output_adjoints(lstm, meta, x, direction, update_adjoint, output_adjoint);
    T above[LstmConfig::kMaxHidden] = {};
    for (int row = 0; row < outputs; ++row) {
      const int w_out = lstm_output_offset(lstm) + row * width;
      for (int j = 0; j < width; ++j) {
        sink(w_out + j, output_adjoint[row] * x[j]);
        above[j] += output_adjoint[row] * meta[w_out + j];
      }
      sink(lstm_output_offset(lstm) + outputs * width + row, output_adjoint[row]);
    }

    for (int layer = lstm.layers - 1; layer >= 0; --layer) {
      const T* h = state + 2 * layer * hidden;
      T* h_adjoint = state_adjoint + 2 * layer * hidden;
      T* c_adjoint = h_adjoint + hidden;
      T z_adjoint[4 * LstmConfig::kMaxHidden];
      for (int unit = 0; unit < hidden; ++unit) {
        h_adjoint[unit] += above[unit];
        c_adjoint[unit] = gate_adjoints(gates[layer], unit, hidden, h[hidden + unit],
                                        h_adjoint[unit], c_adjoint[unit], z_adjoint);
      }
      const T* layer_input = layer == 0 ? first_input : h_new[layer - 1];
      spread_gate_adjoints(lstm, meta, layer, layer_input, h, z_adjoint, above, h_adjoint, sink);
    }
    projection_adjoints(lstm, input, projected, above, sink);
  }

 private:
  /// Activated gates of one layer, and tanh of the new c.
  template <class T>
  struct Gates {
    T i[LstmConfig::kMaxHidden], f[LstmConfig::kMaxHidden], g[LstmConfig::kMaxHidden],
        o[LstmConfig::kMaxHidden], tanh_c[LstmConfig::kMaxHidden];
  };

  /// `state` is that of the preprocessing. Returns Adam's direction (adam_moments only, else 0).
  template <class T>
  L2O_HOST_DEVICE static T preprocess(const LstmConfig& lstm, T gradient, T* state, T* input) {
    switch (lstm.preprocessing) {
      case Preprocessing::kIdentity:
        input[0] = gradient;
        break;
      case Preprocessing::kLogAndSign:
        log_and_sign(gradient, T(lstm.p), input);
        break;
      case Preprocessing::kMoments:
        moments(gradient, state, input);
        break;
      case Preprocessing::kAdamMoments:
        return adam_moments(gradient, state, input);
    }
    return T(0);
  }

  /// The input of the first layer: elu(W_in input + b_in), stored in `projected`
  /// [input_projection], or `input` itself without a projection.
  template <class T>
  L2O_HOST_DEVICE static const T* project(const LstmConfig& lstm, const T* meta, const T* input,
                                          T* projected) {
    if (lstm.input_projection == 0) return input;
    const int width = lstm.inputs();
    const T* bias = meta + lstm.input_projection * width;
    for (int unit = 0; unit < lstm.input_projection; ++unit) {
      const T z = dot(meta + unit * width, input, width) + bias[unit];
      projected[unit] = z > T(0) ? z : std::expm1(z);
    }
    return projected;
  }

  /// Backward pass of project(): `adjoint` [input_projection] is that of `projected`. The slope of
  /// ELU is 1, or e^z = elu(z) + 1 below 0.
  template <class T, class Sink>
  L2O_HOST_DEVICE static void projection_adjoints(const LstmConfig& lstm, const T* input,
                                                  const T* projected, const T* adjoint,
                                                  Sink& sink) {
    const int width = lstm.inputs();
    for (int unit = 0; unit < lstm.input_projection; ++unit) {
      const T slope = projected[unit] > T(0) ? T(1) : projected[unit] + T(1);
      const T z_adjoint = adjoint[unit] * slope;
      for (int k = 0; k < width; ++k) sink(unit * width + k, z_adjoint * input[k]);
      sink(lstm.input_projection * width + unit, z_adjoint);
    }
  }

  /// x [lstm_output_inputs], the output layer's input -> o [outputs].
  template <class T>
  L2O_HOST_DEVICE static void compute_outputs(const LstmConfig& lstm, const T* meta, const T* x,
                                              T* output) {
    const int width = lstm_output_inputs(lstm), outputs = lstm.outputs();
    const T* w_out = meta + lstm_output_offset(lstm);
    for (int row = 0; row < outputs; ++row) {
      output[row] = dot(w_out + row * width, x, width) + w_out[outputs * width + row];
    }
  }

  /// exp(clip(o, -6, 3)); NaN stays NaN.
  template <class T>
  L2O_HOST_DEVICE static T modulation(T o) {
    if (o < T(kLowestModulation)) o = T(kLowestModulation);
    if (o > T(kHighestModulation)) o = T(kHighestModulation);
    return std::exp(o);
  }

  /// d meta-loss / d o [outputs].
  template <class T>
  L2O_HOST_DEVICE static void output_adjoints(const LstmConfig& lstm, const T* meta, const T* x,
                                              T direction, T update_adjoint, T* adjoint) {
    const T scaled = T(lstm.output_scale) * update_adjoint;
    T output[LstmConfig::kMaxOutputs] = {};
    const auto tanh_slope = [](T o) { return T(1) - std::tanh(o) * std::tanh(o); };
    switch (lstm.output) {
      case Output::kLinear:
        adjoint[0] = scaled;
        break;
      case Output::kTanh:
        compute_outputs(lstm, meta, x, output);
        adjoint[0] = scaled * tanh_slope(output[0]);
        break;
      case Output::kModulated: {
        compute_outputs(lstm, meta, x, output);
        const bool clipped = output[0] < T(kLowestModulation) || output[0] > T(kHighestModulation);
        adjoint[0] = clipped ? T(0) : -scaled * modulation(output[0]) * direction;
        adjoint[1] = -scaled * tanh_slope(output[1]);
        break;
      }
    }
  }

  template <class T>
  L2O_HOST_DEVICE static T sigmoid(T z) {
    return T(1) / (T(1) + std::exp(-z));
  }

  template <class T>
  L2O_HOST_DEVICE static T dot(const T* a, const T* b, int size) {
    T sum = T(0);
    for (int k = 0; k < size; ++k) {
      sum += a[k] * b[k];  // NOLINT(*UndefinedBinaryOperatorResult): sizes are never negative
    }
    return sum;
  }

  template <class T>
  L2O_HOST_DEVICE static void compute_gates(const LstmConfig& lstm, const T* meta, int layer,
                                            const T* x, const T* h, const T* c, Gates<T>& gates) {
    const LstmLayerLayout at = lstm_layer_layout(lstm, layer);
    const int hidden = lstm.hidden;
    const auto z = [&](int row) {
      return dot(meta + at.weight_ih + row * at.inputs, x, at.inputs) +
             dot(meta + at.weight_hh + row * hidden, h, hidden) + meta[at.bias + row];
    };
    for (int unit = 0; unit < hidden; ++unit) {
      gates.i[unit] = sigmoid(z(unit));
      gates.f[unit] = sigmoid(z(hidden + unit));
      gates.g[unit] = std::tanh(z(2 * hidden + unit));
      gates.o[unit] = sigmoid(z(3 * hidden + unit));
      gates.tanh_c[unit] = std::tanh(gates.f[unit] * c[unit] + gates.i[unit] * gates.g[unit]);
    }
  }

  /// Computes the adjoints of one unit's four z from those of its h' and c'; returns the adjoint of
  /// c before the step.
  template <class T>
  L2O_HOST_DEVICE static T gate_adjoints(const Gates<T>& gates, int unit, int hidden, T c,
                                         T h_adjoint, T c_adjoint, T* z_adjoint) {
    const T i = gates.i[unit], f = gates.f[unit], g = gates.g[unit], o = gates.o[unit];
    const T tanh_c = gates.tanh_c[unit];
    const T c_total = c_adjoint + h_adjoint * o * (T(1) - tanh_c * tanh_c);
    z_adjoint[unit] = c_total * g * i * (T(1) - i);
    z_adjoint[hidden + unit] = c_total * c * f * (T(1) - f);
    z_adjoint[2 * hidden + unit] = c_total * i * (T(1) - g * g);
    z_adjoint[3 * hidden + unit] = h_adjoint * tanh_c * o * (T(1) - o);
    return c_total * f;
  }

  /// Computes, from the adjoints of z, those of the weights, of h before the step (overwrites
  /// h_adjoint) and of the layer's input (overwrites input_adjoint [kMaxHidden]; not computed where
  /// the input is a constant).
  template <class T, class Sink>
  L2O_HOST_DEVICE static void spread_gate_adjoints(const LstmConfig& lstm, const T* meta, int layer,
                                                   const T* x, const T* h, const T* z_adjoint,
                                                   T* input_adjoint, T* h_adjoint, Sink& sink) {
    const LstmLayerLayout at = lstm_layer_layout(lstm, layer);
    const int hidden = lstm.hidden;
    const bool constant_input = layer == 0 && lstm.input_projection == 0;
    if (!constant_input) {
      for (int k = 0; k < at.inputs; ++k) input_adjoint[k] = T(0);
    }
    for (int k = 0; k < hidden; ++k) h_adjoint[k] = T(0);
    for (int row = 0; row < 4 * hidden; ++row) {
      const int weight_ih = at.weight_ih + row * at.inputs, weight_hh = at.weight_hh + row * hidden;
      for (int k = 0; k < at.inputs; ++k) {
        sink(weight_ih + k, z_adjoint[row] * x[k]);
        if (!constant_input) input_adjoint[k] += z_adjoint[row] * meta[weight_ih + k];
      }
      for (int k = 0; k < hidden; ++k) {
        sink(weight_hh + k, z_adjoint[row] * h[k]);
        h_adjoint[k] += z_adjoint[row] * meta[weight_hh + k];
      }
      sink(at.bias + row, z_adjoint[row]);
    }
  }
};

}  // namespace l2o
