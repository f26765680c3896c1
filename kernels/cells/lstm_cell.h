// The learned rule: a stacked LSTM that runs on every coordinate by itself, all coordinates sharing
// its weights (Andrychowicz et al. 2016, section 2.1). With x the preprocessed gradient,
//   z = W_ih x + W_hh h + b,   gates i, f, g, o of z in that order (PyTorch's),
//   c' = sigmoid(f) c + sigmoid(i) tanh(g),   h' = sigmoid(o) tanh(c'),
// layer l+1 reads h' of layer l, and update = output_scale (w_out . h'_top + b_out).
// No layers at all: update = output_scale (w_out . x + b_out).
//
// This is the readable form; the tuned kernels of the backends are tested against it.
#pragma once

#include <array>
#include <cmath>

#include "kernels/cells/cell.h"
#include "kernels/math/preprocessing.h"

namespace l2o {

/// Where one layer stands in phi; the weights are row-major, a gate's H rows together.
struct LstmLayerLayout {
  int inputs;     ///< length of x
  int weight_ih;  ///< offset of [4H, inputs]
  int weight_hh;  ///< offset of [4H, H]
  int bias;       ///< offset of [4H]
  int end;        ///< offset behind the layer
};

/// Layer 0..layers-1.
L2O_HOST_DEVICE constexpr LstmLayerLayout lstm_layer_layout(const LstmConfig& lstm, int layer) {
  const int rows = 4 * lstm.hidden;
  int begin = 0, inputs = lstm.inputs();
  for (int below = 0; below < layer; ++below) {
    begin += rows * (inputs + lstm.hidden + 1);
    inputs = lstm.hidden;
  }
  const int weight_hh = begin + rows * inputs, bias = weight_hh + rows * lstm.hidden;
  return {inputs, begin, weight_hh, bias, bias + rows};
}

/// Length of what the linear output reads.
L2O_HOST_DEVICE constexpr int lstm_output_inputs(const LstmConfig& lstm) {
  return lstm.layers == 0 ? lstm.inputs() : lstm.hidden;
}

/// Offset in phi of w_out [lstm_output_inputs]; b_out is behind it and ends phi.
L2O_HOST_DEVICE constexpr int lstm_output_offset(const LstmConfig& lstm) {
  return lstm.layers == 0 ? 0 : lstm_layer_layout(lstm, lstm.layers - 1).end;
}

struct LstmCell {
  static constexpr const char* kName = "lstm";
  static constexpr std::array<HyperParameter, 0> kHyper = {};

  /// Per layer h [H], then c [H].
  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig& config) {
    return 2 * config.lstm.layers * config.lstm.hidden;
  }
  L2O_HOST_DEVICE static constexpr int meta_size(const CellConfig& config) {
    return lstm_output_offset(config.lstm) + lstm_output_inputs(config.lstm) + 1;
  }

  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* meta, T gradient, T* state) {
    const LstmConfig& lstm = config.lstm;
    const int hidden = lstm.hidden;
    T input[2];
    preprocess(lstm, gradient, input);
    const T* x = input;
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
    const T* w_out = meta + lstm_output_offset(lstm);
    const int width = lstm_output_inputs(lstm);
    return T(lstm.output_scale) * (dot(w_out, x, width) + w_out[width]);
  }

  template <class T, class Sink>
  L2O_HOST_DEVICE static void backward(const CellConfig& config, const T* meta, T gradient,
                                       const T* state, T update_adjoint, T* state_adjoint,
                                       Sink&& sink) {
    const LstmConfig& lstm = config.lstm;
    const int hidden = lstm.hidden;

    // Once more forward, keeping the gates and what every layer read.
    T input[2];
    preprocess(lstm, gradient, input);
    Gates<T> gates[LstmConfig::kMaxLayers];
    T h_new[LstmConfig::kMaxLayers][LstmConfig::kMaxHidden];
    const T* x = input;
    for (int layer = 0; layer < lstm.layers; ++layer) {
      const T* h = state + 2 * layer * hidden;
      compute_gates(lstm, meta, layer, x, h, h + hidden, gates[layer]);
      for (int unit = 0; unit < hidden; ++unit) {
        h_new[layer][unit] = gates[layer].o[unit] * gates[layer].tanh_c[unit];
      }
      x = h_new[layer];
    }

    // The output. `above` is the adjoint of h' from whoever reads it within this step.
    const int w_out = lstm_output_offset(lstm), width = lstm_output_inputs(lstm);
    const T output_adjoint = T(lstm.output_scale) * update_adjoint;
    T above[LstmConfig::kMaxHidden];
    for (int j = 0; j < width; ++j) {
      sink(w_out + j, output_adjoint * x[j]);
      above[j] = output_adjoint * meta[w_out + j];
    }
    sink(w_out + width, output_adjoint);

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
      const T* layer_input = layer == 0 ? input : h_new[layer - 1];
      spread_gate_adjoints(lstm, meta, layer, layer_input, h, z_adjoint, above, h_adjoint, sink);
    }
  }

 private:
  /// Activated gates of one layer, and tanh of its new c.
  template <class T>
  struct Gates {
    T i[LstmConfig::kMaxHidden], f[LstmConfig::kMaxHidden], g[LstmConfig::kMaxHidden],
        o[LstmConfig::kMaxHidden], tanh_c[LstmConfig::kMaxHidden];
  };

  template <class T>
  L2O_HOST_DEVICE static void preprocess(const LstmConfig& lstm, T gradient, T* input) {
    if (lstm.preprocessing == Preprocessing::kIdentity) {
      input[0] = gradient;
    } else {
      log_and_sign(gradient, T(lstm.p), input);
    }
  }

  template <class T>
  L2O_HOST_DEVICE static T sigmoid(T z) {
    return T(1) / (T(1) + std::exp(-z));
  }

  template <class T>
  L2O_HOST_DEVICE static T dot(const T* a, const T* b, int size) {
    T sum = T(0);
    for (int k = 0; k < size; ++k) sum += a[k] * b[k];
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

  /// From the adjoints of one unit's h' and c' to those of its four z; returns the adjoint of the
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

  /// From the adjoints of z to those of the weights, of the h before the step (overwrites
  /// h_adjoint) and of the layer's input (overwrites input_adjoint; layer 0 reads a constant).
  template <class T, class Sink>
  L2O_HOST_DEVICE static void spread_gate_adjoints(const LstmConfig& lstm, const T* meta, int layer,
                                                   const T* x, const T* h, const T* z_adjoint,
                                                   T* input_adjoint, T* h_adjoint, Sink& sink) {
    const LstmLayerLayout at = lstm_layer_layout(lstm, layer);
    const int hidden = lstm.hidden;
    for (int k = 0; k < hidden; ++k) {
      input_adjoint[k] = T(0);
      h_adjoint[k] = T(0);
    }
    for (int row = 0; row < 4 * hidden; ++row) {
      const int weight_ih = at.weight_ih + row * at.inputs, weight_hh = at.weight_hh + row * hidden;
      for (int k = 0; k < at.inputs; ++k) {
        sink(weight_ih + k, z_adjoint[row] * x[k]);
        if (layer > 0) input_adjoint[k] += z_adjoint[row] * meta[weight_ih + k];
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
