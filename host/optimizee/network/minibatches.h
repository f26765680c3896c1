// The minibatches that a network is evaluated on: new rows of a data set for every task and
// evaluation.
#pragma once

#include <cstdint>
#include <memory>

#include "host/backend/buffer.h"
#include "host/data/data_set.h"

namespace l2o {

/// A data set in backend memory; bytes stay bytes.
struct DeviceDataSet {
  DeviceDataSet(Backend& backend, std::shared_ptr<const DataSet> data);

  std::shared_ptr<const DataSet> data;
  Buffer<std::uint8_t> bytes;    // [rows of the set, row_size], or
  Buffer<float> values;          // the same
  Buffer<float> scale, shift;    // [channels]
  Buffer<std::uint16_t> labels;  // [rows of the set]
  Buffer<float> targets;         // [rows of the set, target_size]
};

class Minibatches {
 public:
  /// R rows for each of B tasks. All objects that draw from a data set on a backend share its
  /// memory there; the backend must outlive them.
  Minibatches(Backend& backend, const std::shared_ptr<const DataSet>& data, int tasks, int rows);

  /// The following minibatches are of the stream `key`, whose task is that of the first task. Must
  /// be called before gather().
  void start(const RandomKey& key) { key_.upload({key}); }
  /// Draws the minibatches of step key.step + step.
  void gather(std::uint32_t step);

  const DataSet& data() const { return *set_->data; }
  // The last minibatches; labels and targets only if the set has them.
  const float* inputs() const { return inputs_.data(); }          ///< [B, R, row_size]
  const std::uint16_t* labels() const { return labels_.data(); }  ///< [B, R]
  const float* targets() const { return targets_.data(); }        ///< [B, R, target_size]

 private:
  Backend& backend_;
  std::shared_ptr<const DeviceDataSet> set_;
  int tasks_;
  int rows_;
  Buffer<float> inputs_;
  Buffer<std::uint16_t> labels_;
  Buffer<float> targets_;
  Buffer<RandomKey> key_;  // [1]
};

}  // namespace l2o
