// An optimizer on a device: phi, its packed form, and the state of N coordinates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "host/backend/buffer.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

/// The rules of all groups of parameters on a device; one rule if there are no groups. Their phi
/// are one array, rule after rule, so that one meta-update changes them all. The kernels read the
/// packed form: call pack() after phi changed.
class DeviceOptimizer {
 public:
  DeviceOptimizer(Backend& backend, const Optimizer& rule);
  DeviceOptimizer(Backend& backend, const Model& model);

  Backend& backend() { return *backend_; }
  int groups() const { return static_cast<int>(rules_.size()); }
  const CellConfig& cell(int group = 0) const { return rule(group).cell; }
  const std::byte* packed(int group = 0) const { return rule(group).packed.data(); }
  /// The index in phi at which the group's meta-parameters begin.
  std::size_t first_meta_parameter(int group) const { return rule(group).first; }
  Buffer<float>& meta_parameters() { return meta_parameters_; }  // [P of all groups]
  const Buffer<float>& meta_parameters() const { return meta_parameters_; }
  void pack();

 private:
  struct Rule {
    CellConfig cell;
    std::size_t first;
    Buffer<std::byte> packed;
  };
  DeviceOptimizer(Backend& backend, const std::vector<const Optimizer*>& rules);
  const Rule& rule(int group) const { return rules_[static_cast<std::size_t>(group)]; }

  Backend* backend_;
  Buffer<float> meta_parameters_;
  std::vector<Rule> rules_;
};

/// State of N coordinates in the backend's layout.
class CoordinateState {
 public:
  CoordinateState(Backend& backend, const CellConfig& cell, std::int64_t n);

  void reset() { bytes_.fill_zero(); }
  std::byte* data() { return bytes_.data(); }
  const std::byte* data() const { return bytes_.data(); }
  std::size_t bytes() const { return bytes_.bytes(); }

 private:
  Buffer<std::byte> bytes_;
};

/// The scales of a step:
///   theta += update (u(gradient * g) - weight_decay * theta).
struct StepScales {
  float gradient = 1.0F;
  float update = 1.0F;
  float weight_decay = 0.0F;
  const float* of_tiles = nullptr;  ///< a factor on `update` for every tile; null: all 1
};

/// Steps every coordinate of a group and advances its state.
void step(DeviceOptimizer& optimizer, std::int64_t n, const float* gradient, CoordinateState& state,
          float* theta, int group = 0, const StepScales& scales = {});

/// Arguments of the backward pass of an unroll of a single rule: its shape, phi, and the segment
/// length that suits the device best. The caller fills in the data of the unroll, the result and
/// the scratch, whose size follows from these arguments.
UnrollBackwardArgs unroll_backward_args(DeviceOptimizer& optimizer, std::int64_t n,
                                        int unroll_length);

}  // namespace l2o
