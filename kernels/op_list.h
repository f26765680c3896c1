// THE list of ops: X(name, argument struct) for each. It generates the methods of Backend and how
// every backend forwards them, the launcher declarations of every device, and the cost meter of the
// benchmarks. A new op needs a struct in op_args.h, a cost in op_cost.h, one launcher per device
// and one line here; tests/ops/op_cases.cpp requires a test case for it.
#pragma once

#include "kernels/op_args.h"

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): a list that several places expand
#define L2O_FOR_EACH_OP(X)                                        \
  /* The update rule. */                                          \
  X(pack, PackArgs)                                               \
  X(step, StepArgs)                                               \
  X(unroll_backward, UnrollBackwardArgs)                          \
  X(meta_update, MetaUpdateArgs)                                  \
  X(log_loss_weights, LogLossWeightsArgs)                         \
  X(combine_gradients, CombineGradientsArgs)                      \
  X(count_not_finite, CountNotFiniteArgs)                         \
  X(zero_not_finite, ZeroNotFiniteArgs)                           \
  /* Building blocks of optimizees. */                            \
  X(fill_random, FillRandomArgs)                                  \
  X(gather_minibatch, GatherMinibatchArgs)                        \
  X(gemm, GemmArgs)                                               \
  X(bias_activation, BiasActivationArgs)                          \
  X(bias_activation_backward, BiasActivationBackwardArgs)         \
  X(activation, ActivationArgs)                                   \
  X(activation_backward, ActivationBackwardArgs)                  \
  X(add, AddArgs)                                                 \
  X(multiply, MultiplyArgs)                                       \
  X(convolution, ConvolutionArgs)                                 \
  X(convolution_backward_input, ConvolutionBackwardInputArgs)     \
  X(convolution_backward_weights, ConvolutionBackwardWeightsArgs) \
  X(pool, PoolArgs)                                               \
  X(pool_backward, PoolBackwardArgs)                              \
  X(batch_norm, BatchNormArgs)                                    \
  X(batch_norm_backward, BatchNormBackwardArgs)                   \
  X(layer_norm, LayerNormArgs)                                    \
  X(layer_norm_backward, LayerNormBackwardArgs)                   \
  X(softmax_cross_entropy, SoftmaxCrossEntropyArgs)               \
  X(mean_squared_error, MeanSquaredErrorArgs)                     \
  X(l2_penalty, L2PenaltyArgs)                                    \
  X(clipped_squares, ClippedSquaresArgs)                          \
  X(quadratic, QuadraticArgs)
