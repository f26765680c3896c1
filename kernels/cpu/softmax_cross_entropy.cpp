// Classification loss: mean over the rows of log(sum_j e^z_j) - z_label.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/launchers.h"

namespace l2o::cpu {

void softmax_cross_entropy(const SoftmaxCrossEntropyArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.classes == 0) return;
  const float mean = 1.0F / static_cast<float>(args.rows);
  pool.parallel_for(args.batch, [&](std::int64_t task, int) {
    double loss = 0.0;
    for (std::int64_t row = task * args.rows; row < (task + 1) * args.rows; ++row) {
      float* z = args.logits + row * args.classes;
      const int label = args.labels[row];
      // After subtracting the maximum, no exponential overflows and the sum is at least 1.
      const float largest = *std::max_element(z, z + args.classes);
      const float label_logit = z[label] - largest;
      float sum = 0.0F;
      for (int j = 0; j < args.classes; ++j) {
        z[j] = std::exp(z[j] - largest);
        sum += z[j];
      }
      loss += static_cast<double>(std::log(sum) - label_logit);
      const float scale = mean / sum;
      for (int j = 0; j < args.classes; ++j) z[j] *= scale;
      z[label] -= mean;
    }
    args.loss[task] = static_cast<float>(loss / args.rows);
  });
}

}  // namespace l2o::cpu
