// Packs phi in the order in which the tensor-core kernels read it, after every meta-update.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lstm_policy.cuh"
#include "kernels/op_args.h"

namespace l2o::cuda {

/// Part 0 or 1 of a pair of numbers.
L2O_DEVICE std::uint32_t float16_part(float low, float high, int part) {
  const std::uint32_t rounded = float16_pair(low, high);
  if (part == 0) return rounded;
  return float16_pair(low - low_of_float16(rounded), high - high_of_float16(rounded));
}
L2O_DEVICE std::uint32_t bfloat16_part(float low, float high, int part) {
  const std::uint32_t rounded = bfloat16_pair(low, high);
  if (part == 0) return rounded;
  return bfloat16_pair(low - low_of_bfloat16(rounded), high - high_of_bfloat16(rounded));
}

template <class Geometry, Precision precision>
struct LstmPacker {
  using Policy = LstmPolicy<precision>;
  using Packed = PackedLstm<Geometry, precision>;

  const float* meta;      // [P]
  std::uint32_t* packed;  // [Packed::kWords]

  /// The forward weight of slot s of lane t in column g of a product: gates i, f or g, o of group
  /// v.
  L2O_DEVICE float forward_weight(int layer, int v, bool second, int g, int t, int s) const {
    const int input = s < Geometry::slots(layer) ? Geometry::input_of_slot(layer, t, s) : -1;
    if (input < 0) return 0.0F;
    const int gate = 2 * static_cast<int>(second) + g % 2;
    return Policy::gate_scale(gate) * meta[Geometry::phi_index(layer, gate, 4 * v + g / 2, input)];
  }

  /// Word `index` of a layer's forward weights.
  L2O_DEVICE std::uint32_t forward_word(int layer, int index, int part) const {
    const int v = index / Geometry::group_words(layer);
    int word = index % Geometry::group_words(layer);
    const int k16_words = kWarpSize * 4 * Geometry::k16_products(layer);
    int lane, slot;
    bool second;
    if (word < k16_words) {
      lane = word / 4 % kWarpSize;
      second = word % 4 / 2 == 1;
      slot = word / (4 * kWarpSize) * 4 + word % 2 * 2;
    } else {
      word -= k16_words;
      lane = word / 2;
      second = word % 2 == 1;
      slot = 4 * Geometry::k16_products(layer);
    }
    const int g = lane / 4, t = lane % 4;
    return float16_part(forward_weight(layer, v, second, g, t, slot),
                        forward_weight(layer, v, second, g, t, slot + 1), part);
  }

  /// The backward weight from column k of dz, group v, to slot column n of tile j.
  L2O_DEVICE float backward_weight(int layer, int v, int k, int j, int n) const {
    const int slot = 2 * j + n % 2;
    if (slot >= Geometry::hidden_slots(layer)) return 0.0F;
    return meta[Geometry::phi_index(layer, Geometry::gate_of_column(k),
                                    Geometry::unit_of_column(v, k),
                                    Geometry::input_of_slot(layer, n / 2, slot))];
  }

  /// Word `index` of a layer's backward weights.
  L2O_DEVICE std::uint32_t backward_word(int layer, int index, int part) const {
    const int v = index / Geometry::group_backward_words(layer);
    int word = index % Geometry::group_backward_words(layer);
    const int paired_words = Geometry::slot_tiles(layer) / 2 * 4 * kWarpSize;
    int lane, tile;
    if (word < paired_words) {
      lane = word / 4 % kWarpSize;
      tile = word / (4 * kWarpSize) * 2 + word % 4 / 2;
    } else {
      word -= paired_words;
      lane = word / 2;
      tile = Geometry::slot_tiles(layer) - 1;
    }
    const int k = lane % 4 * 2 + word % 2 * 8;
    return bfloat16_part(backward_weight(layer, v, k, tile, lane / 4),
                         backward_weight(layer, v, k + 1, tile, lane / 4), part);
  }

  /// Writes all words, together with the other `threads` threads.
  L2O_DEVICE void run(int thread, int threads) const {
    for (int layer = 0; layer < Geometry::kLayers; ++layer) {
      const int words = Geometry::kGroups * Geometry::group_words(layer);
      for (int i = thread; i < Policy::kWeightParts * words; i += threads) {
        const int part = i / words, index = i % words;
        packed[Packed::kForwardOffset + part * Geometry::kForwardWords +
               Geometry::forward_offset(layer) + index] = forward_word(layer, index, part);
      }
      const int backward_words = Geometry::kGroups * Geometry::group_backward_words(layer);
      for (int i = thread; i < Policy::kAdjointParts * backward_words; i += threads) {
        const int part = i / backward_words, index = i % backward_words;
        packed[Packed::kBackwardOffset + part * Geometry::kBackwardWords +
               Geometry::backward_offset(layer) + index] = backward_word(layer, index, part);
      }
    }
    for (int i = thread; i < Geometry::kOutputSize; i += threads) {
      packed[Packed::kOutputOffset + i] = bits_of(meta[lstm_output_offset(Geometry::lstm()) + i]);
    }
  }
};

template <class Geometry, Precision precision>
__global__ void lstm_pack_kernel(LstmPacker<Geometry, precision> packer) {
  packer.run(block_index() * block_threads() + thread_index(), block_count() * block_threads());
}

template <class Geometry, Precision precision>
void lstm_pack(const PackArgs& args, const Device& device) {
  launch("lstm_pack_kernel", lstm_pack_kernel<Geometry, precision>, device,
         {.blocks = 32, .threads = 256}, {args.meta, static_cast<std::uint32_t*>(args.packed)});
}

}  // namespace l2o::cuda
