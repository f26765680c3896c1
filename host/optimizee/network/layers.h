// What layers are there, and how a list of them is read.
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

/// THE list of layers (layers.cpp).
const std::vector<LayerKind>& layer_kinds();

/// Reads the key `layers`: texts as in LayerKind::usage, lists of layers, which are residual
/// blocks, and integers, N for "dense N" and the activation that the key `activation` names. An
/// activation becomes part of the layer before it where that one's op applies it. Throws kUsage.
std::vector<LayerSpec> read_layers(ConfigReader& options,
                                   const std::vector<ConfigItem>& default_layers);

/// The dense layer that ends a network and stands in no list.
LayerSpec last_layer(int units, std::size_t layers_before);

}  // namespace l2o
