// An optimizer on a device: phi, its packed form, and the state of N coordinates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "host/backend/buffer.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

/// phi on a device. The packed form is what the kernels read: call pack() after phi changed.
class DeviceOptimizer {
 public:
  DeviceOptimizer(Backend& backend, const Optimizer& optimizer);

  const CellConfig& cell() const { return cell_; }
  Backend& backend() { return *backend_; }
  Buffer<float>& meta_parameters() { return meta_parameters_; }  // [P]
  const Buffer<float>& meta_parameters() const { return meta_parameters_; }
  const std::byte* packed() const { return packed_.data(); }
  void pack();

 private:
  Backend* backend_;
  CellConfig cell_;
  Buffer<float> meta_parameters_;
  Buffer<std::byte> packed_;
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

/// theta += update for every coordinate, and the state moves on.
void step(DeviceOptimizer& optimizer, std::int64_t n, const float* gradient, CoordinateState& state,
          float* theta);

/// Arguments of the backward pass of an unroll of `optimizer`: its shape, phi, and segments as the
/// device likes them best. What the unroll left behind, the result and the scratch, whose size
/// these arguments give, are the caller's to fill in.
UnrollBackwardArgs unroll_backward_args(DeviceOptimizer& optimizer, std::int64_t n,
                                        int unroll_length);

}  // namespace l2o
