#include "host/optimizee/network/loss.h"

#include <fmt/format.h>

#include "host/core/error.h"

namespace l2o {

int outputs_for(Loss loss, const DataSet& data, const std::string& place) {
  if (loss == Loss::kCrossEntropy && data.classes == 0) {
    throw Error(Status::kUsage,
                fmt::format("{}: \"cross_entropy\" needs labels, and {} has none; expected "
                            "\"autoencoder\"{}",
                            place, data.source, data.target_size > 0 ? " or \"mse\"" : ""));
  }
  if (loss == Loss::kMeanSquaredError && data.target_size == 0) {
    throw Error(Status::kUsage,
                fmt::format("{}: \"mse\" needs targets, and {} has none; expected "
                            "\"autoencoder\"{}",
                            place, data.source, data.classes > 0 ? " or \"cross_entropy\"" : ""));
  }
  switch (loss) {
    case Loss::kCrossEntropy:
      return data.classes;
    case Loss::kMeanSquaredError:
      return data.target_size;
    case Loss::kAutoencoder:
      break;
  }
  return data.row_size();
}

void evaluate_loss(Loss kind, Backend& backend, int tasks, int rows, const Minibatches& minibatches,
                   float* output, float* loss) {
  const DataSet& data = minibatches.data();
  if (kind == Loss::kCrossEntropy) {
    SoftmaxCrossEntropyArgs args;
    args.batch = tasks;
    args.rows = rows;
    args.classes = data.classes;
    args.logits = output;
    args.labels = minibatches.labels();
    args.loss = loss;
    backend.softmax_cross_entropy(args);
    return;
  }
  const bool is_autoencoder = kind == Loss::kAutoencoder;
  MeanSquaredErrorArgs args;
  args.batch = tasks;
  args.rows = rows;
  args.columns = is_autoencoder ? data.row_size() : data.target_size;
  args.values = output;
  args.targets = is_autoencoder ? minibatches.inputs() : minibatches.targets();
  args.loss = loss;
  backend.mean_squared_error(args);
}

}  // namespace l2o
