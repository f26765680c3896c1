// The minibatches that a network is evaluated on: new rows of a data set for every task and
// evaluation.
#pragma once

#include <cstdint>
#include <memory>

#include "host/backend/buffer.h"
#include "host/data/data_set.h"

namespace l2o {

/// A data set in backend memory; byte data is not converted to float.
struct DeviceDataSet {
  DeviceDataSet(Backend& backend, std::shared_ptr<const DataSet> data);

  std::shared_ptr<const DataSet> data;
  Buffer<std::uint8_t> bytes;    // [rows of the set, row_size]; empty if the set holds floats
  Buffer<float> values;          // [rows of the set, row_size]; empty if the set holds bytes
  Buffer<float> scale, shift;    // [channels]
  Buffer<std::uint16_t> labels;  // [rows of the set]
  Buffer<float> targets;         // [rows of the set, target_size]
};

class Minibatches {
 public:
  /// A minibatch has R = `rows` rows for each of B = `tasks` tasks; gather() draws it. All objects
  /// that draw from the same data set on the same backend share one copy of it; the backend must
  /// outlive them.
  Minibatches(Backend& backend, const std::shared_ptr<const DataSet>& data, int tasks, int rows);

  /// Later calls of gather() draw from the random stream `key`, whose `task` is the number of the
  /// first task. Must be called before gather().
  void start(const RandomKey& key) { key_.upload({key}); }
  /// Draws the minibatches of step key.step + step.
  void gather(std::uint32_t step);

  const DataSet& data() const { return *set_->data; }
  // The most recent minibatches; labels() and targets() are null unless the set has them.
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
