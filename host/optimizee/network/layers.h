// The kinds of layers, and how a list of layers is read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/core/config.h"
#include "host/optimizee/network/layer.h"

namespace l2o {

/// Pixels of a window in either direction: pooling numbers them with 16 bits.
inline constexpr int kLargestWindow = 256;
/// Units of a dense layer, channels of a convolution.
inline constexpr int kMostUnits = 1 << 16;

/// The list of layer kinds (layers.cpp).
const std::vector<LayerKind>& layer_kinds();

/// Reads the key `layers`: strings as in LayerKind::usage, lists of layers, which are residual
/// blocks, and integers, N for "dense N" followed by the activation named by the key `activation`.
/// An activation becomes part of the preceding layer if that layer's op applies it. Throws kUsage.
std::vector<LayerSpec> read_layers(ConfigReader& options,
                                   const std::vector<ConfigItem>& default_layers);

/// The final dense layer of a network, which is not in its list.
LayerSpec last_layer(int units, std::size_t layers_before);

}  // namespace l2o
