// The gradient of the weights, as a warp's tiles of dW = sum over coordinates of dz^T x.
//
// The 128 coordinates of a block are the K dimension of these products. Every warp stages dz and x
// of its 16 coordinates in shared memory, as bfloat16, and after a barrier computes its tiles of dW
// over all coordinates. Each sum belongs to one warp, so no atomics are needed.
#pragma once

#include "kernels/cuda/lstm_forward.cuh"

namespace l2o::cuda {

template <class Geometry, Precision precision>
class LstmWeightTiles {
 public:
  using Forward = LstmForward<Geometry, precision, 1>;
  using Policy = typename Forward::Policy;
  static constexpr int kLayers = Geometry::kLayers, kGroups = Geometry::kGroups;
  static constexpr int kParts = Policy::kAdjointParts;
  static constexpr int kWarps = 8, kThreads = kWarps * kWarpSize, kCoordinates = 16 * kWarps;

  // Staged data, as offsets in 16-bit numbers: [part][coordinate][columns] of dz of every layer,
  // then of the inputs of every layer. Rows have an odd multiple of 16 bytes, so that adjacent rows
  // are in different banks.
  static constexpr int kDzStride = 4 * Geometry::kHidden + 8;
  static constexpr int kDzLayerStride = kParts * kCoordinates * kDzStride;
  static constexpr int input_tiles(int layer) { return (Geometry::slots(layer) + 1) / 2; }
  static constexpr int input_stride(int layer) { return 8 * (input_tiles(layer) | 1); }
  static constexpr int input_offset(int layer) {
    int offset = kLayers * kDzLayerStride;
    for (int l = 0; l < layer; ++l) offset += kParts * kCoordinates * input_stride(l);
    return offset;
  }

  // A job is a group of units (16 columns of dz) of a layer by three tiles of 8 input columns, or
  // by four if there are exactly four; a warp has up to kJobsPerWarp jobs. The last job of a group
  // may have fewer tiles: the columns computed from data after the rows are never written.
  static constexpr int kJobTiles = kLayers == 1 && input_tiles(0) == 4 ? 4 : 3;
  static constexpr int group_jobs(int layer) {
    return (input_tiles(layer) + kJobTiles - 1) / kJobTiles;
  }
  static constexpr int first_job(int layer) {
    int jobs = 0;
    for (int l = 0; l < layer; ++l) jobs += kGroups * group_jobs(l);
    return jobs;
  }
  static constexpr int kJobCount = first_job(kLayers);
  static constexpr int kJobsPerWarp = (kJobCount + kWarps - 1) / kWarps;

  // The sums of a chunk are in shared memory, [job][tile][thread] by four, if a block has room for
  // them in addition to the packed weights on GPUs with 227 KB of it, and otherwise in registers: a
  // step back needs all the registers.
  static constexpr std::size_t kStagedBytes =
      2 * std::size_t{input_offset(kLayers) + 8 * kJobTiles};
  static constexpr std::size_t kSumsBytes = std::size_t{kJobsPerWarp} * kJobTiles * kThreads * 16;
  static constexpr std::size_t kWeightBytes =
      4 * std::size_t{PackedLstm<Geometry, precision>::kPaddedWords};
  static constexpr bool kSumsInShared = kWeightBytes + kStagedBytes + kSumsBytes <= kSharedBytes90;
  static constexpr std::size_t kSharedBytes = kStagedBytes + (kSumsInShared ? kSumsBytes : 0);

  /// shared: [kSharedBytes], aligned to 16 bytes.
  L2O_DEVICE LstmWeightTiles(std::byte* shared, int thread)
      : staged_(reinterpret_cast<std::uint16_t*>(shared)),
        shared_sums_(reinterpret_cast<float4*>(shared + kStagedBytes) + thread),
        thread_(thread) {}

  // ---- staging, warp by warp

  /// Stages a fragment of dz: the columns of group v.
  L2O_DEVICE void stage_dz(int layer, int v, const std::uint32_t (&dz)[kParts][4]) const {
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      store_fragment(staged_rows(layer * kDzLayerStride, kDzStride, part) + 16 * v, kDzStride,
                     dz[part]);
    }
  }

  /// Stages the inputs of a layer in this step, converted from float16 to bfloat16.
  template <int layer>
  L2O_DEVICE void stage_inputs(const typename Forward::template Fragments<layer>& fragments) const {
    constexpr int kTiles = input_tiles(layer), kStride = input_stride(layer);
    std::uint32_t words[kParts][2 * Geometry::slot_pairs(layer)];
#pragma unroll
    for (int i = 0; i < 2 * Geometry::slot_pairs(layer); ++i) {
      float low = low_of_float16(fragments.words[0][0][i]);
      float high = high_of_float16(fragments.words[0][0][i]);
      if constexpr (Policy::kHiddenParts == 2) {
        low += low_of_float16(fragments.words[1][0][i]);
        high += high_of_float16(fragments.words[1][0][i]);
      }
      words[0][i] = bfloat16_pair(low, high);
      if constexpr (kParts == 2) {
        words[1][i] =
            bfloat16_pair(low - low_of_bfloat16(words[0][i]), high - high_of_bfloat16(words[0][i]));
      }
    }
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      std::uint16_t* const rows = staged_rows(input_offset(layer), kStride, part);
      // A pair of slots is a tile of 8 columns; a fragment has two of them.
#pragma unroll
      for (int tile = 0; tile < kTiles; tile += 2) {
        const std::uint32_t* const pair = words[part] + 2 * tile;
        if (tile + 1 < kTiles) {
          store_fragment(rows + 8 * tile, kStride, {pair[0], pair[1], pair[2], pair[3]});
        } else {
          store_fragment(rows + 8 * tile, kStride, {pair[0], pair[1]});
        }
      }
    }
  }

  // ---- products, after a barrier

  /// Adds this step to the sums; a barrier is needed before anything else is staged.
  L2O_DEVICE void add_step() {
#pragma unroll
    for (int j = 0; j < kJobsPerWarp; ++j) {
      const int index = warp() * kJobsPerWarp + j;
      if (index >= kJobCount) break;
      const Job current = job(index);
      if (current.layer == 0) {
        add_job<0>(current, j);
      } else {
        add_job<kLayers - 1>(current, j);  // all layers above 0 are alike
      }
    }
  }

  L2O_DEVICE void clear() {
#pragma unroll
    for (int j = 0; j < kJobsPerWarp; ++j) {
#pragma unroll
      for (int tile = 0; tile < kJobTiles; ++tile) store_sums(j, tile, {0.0F, 0.0F, 0.0F, 0.0F});
    }
  }

  /// Writes the sums in the order of phi; every weight is written by one thread.
  L2O_DEVICE void write(float* phi_gradient) const {
#pragma unroll
    for (int j = 0; j < kJobsPerWarp; ++j) {
      const int index = warp() * kJobsPerWarp + j;
      if (index >= kJobCount) break;
      const Job current = job(index);
#pragma unroll
      for (int tile = 0; tile < kJobTiles; ++tile) {
        float sums[4];
        load_sums(j, tile, sums);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          // Row m of the product is a column of dz, column n a slot of lane n / 2.
          const int m = lane() / 4 + i / 2 * 8, n = lane() % 4 * 2 + i % 2;
          const int slot = 2 * (current.first_tile + tile) + n % 2;
          const int input = Geometry::input_of_slot(current.layer, n / 2, slot);
          if (input < 0) continue;
          phi_gradient[Geometry::phi_index(current.layer, Geometry::gate_of_column(m),
                                           Geometry::unit_of_column(current.group, m), input)] =
              sums[i];
        }
      }
    }
  }

 private:
  L2O_DEVICE int lane() const { return thread_ % kWarpSize; }
  L2O_DEVICE int warp() const { return thread_ / kWarpSize; }

  /// The warp's rows of a staged operand.
  L2O_DEVICE std::uint16_t* staged_rows(int offset, int stride, int part) const {
    return staged_ + offset + (part * kCoordinates + 16 * warp()) * stride;
  }

  struct Job {
    int layer, group, first_tile;
  };
  /// The same for all lanes of a warp.
  L2O_DEVICE static Job job(int index) {
    Job result{};
    for_each_index<kLayers>([&](auto layer) {
      const int index_in_layer = index - first_job(layer());
      if (index_in_layer >= 0 && index_in_layer < kGroups * group_jobs(layer())) {
        result = {layer(), index_in_layer / group_jobs(layer()),
                  index_in_layer % group_jobs(layer()) * kJobTiles};
      }
    });
    return result;
  }

  L2O_DEVICE float4* shared_sums(int j, int tile) const {
    return shared_sums_ + (j * kJobTiles + tile) * kThreads;
  }
  L2O_DEVICE void load_sums(int j, int tile, float (&sums)[4]) const {
    if constexpr (kSumsInShared) {
      const float4 values = *shared_sums(j, tile);
      sums[0] = values.x, sums[1] = values.y, sums[2] = values.z, sums[3] = values.w;
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[i] = own_sums_[j][tile][i];
    }
  }
  L2O_DEVICE void store_sums(int j, int tile, const float (&sums)[4]) {
    if constexpr (kSumsInShared) {
      *shared_sums(j, tile) = make_float4(sums[0], sums[1], sums[2], sums[3]);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) own_sums_[j][tile][i] = sums[i];
    }
  }

  /// sums of job j += dz^T x over the coordinates of the block. Products of a step are summed
  /// separately: tensor cores truncate bits that do not fit into a sum, and this error must not
  /// accumulate over many steps.
  template <int representative_layer>
  L2O_DEVICE void add_job(const Job& job, int j) {
    constexpr int kStride = input_stride(representative_layer);
    const int lane_row = lane() % 8, upper = lane() / 16, odd = lane() / 8 % 2;
    const std::uint16_t* const dz = staged_ + kDzLayerStride * job.layer +
                                    (8 * upper + lane_row) * kDzStride + 16 * job.group + 8 * odd;
    const int input_layer =
        input_offset(0) +
        (job.layer == 0 ? 0
                        : kParts * kCoordinates * (input_stride(0) + (job.layer - 1) * kStride));
    const std::uint16_t* const inputs =
        staged_ + input_layer + (8 * odd + lane_row) * kStride + 8 * (job.first_tile + upper);
    float products[kJobTiles][4] = {};
#pragma unroll
    for (int block = 0; block < kWarps; ++block) {
      std::uint32_t b[kParts][2 * kJobTiles];
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        const int rows = (part * kCoordinates + 16 * block) * kStride;
        std::uint32_t two_tiles[4];
        load_transposed(two_tiles, inputs + rows);
        b[part][0] = two_tiles[0], b[part][1] = two_tiles[1], b[part][2] = two_tiles[2],
        b[part][3] = two_tiles[3];
        if constexpr (kJobTiles == 4) {
          load_transposed(two_tiles, inputs + rows + 16);
          b[part][4] = two_tiles[0], b[part][5] = two_tiles[1], b[part][6] = two_tiles[2],
          b[part][7] = two_tiles[3];
        } else {
          std::uint32_t one_tile[2];
          load_transposed(one_tile, inputs + rows + 16);  // lanes 0 .. 15
          b[part][4] = one_tile[0], b[part][5] = one_tile[1];
        }
      }
#pragma unroll
      for (int dz_part = 0; dz_part < kParts; ++dz_part) {
        std::uint32_t a[4];
        load_transposed(a, dz + (dz_part * kCoordinates + 16 * block) * kDzStride);
        const int parts = dz_part == 0 ? kParts : 1;
#pragma unroll
        for (int part = 0; part < parts; ++part) {
#pragma unroll
          for (int tile = 0; tile < kJobTiles; ++tile) {
            multiply_bfloat16_k16(products[tile], a, b[part][2 * tile], b[part][2 * tile + 1]);
          }
        }
      }
    }
#pragma unroll
    for (int tile = 0; tile < kJobTiles; ++tile) {
      float sums[4];
      load_sums(j, tile, sums);
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[i] += products[tile][i];
      store_sums(j, tile, sums);
    }
  }

  std::uint16_t* const staged_;
  float4* const shared_sums_;
  const int thread_;
  float own_sums_[kJobsPerWarp][kJobTiles][4];  // unless kSumsInShared
};

}  // namespace l2o::cuda
