// The launchers of the CPU: one function per op, all of them done when they return. The arguments
// are those of kernels/op_args.h, here in host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/cpu/thread_pool.h"
#include "kernels/op_args.h"

namespace l2o::cpu {

// The tuned LSTM, 1 to 3 layers: SIMD over coordinates (lstm_kernels.cpp). packed holds the weights
// in the order in which its inner loops read them.
std::size_t lstm_packed_bytes(const LstmConfig& lstm);
void lstm_pack(const PackArgs& args);
void lstm_step(const StepArgs& args, ThreadPool& pool);
std::size_t lstm_unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, int threads);
void lstm_unroll_backward(const UnrollBackwardArgs& args, ThreadPool& pool);
/// Bytes of replay scratch of one worker: per step of a segment, and per recompute checkpoint.
struct ReplayBytes {
  std::size_t per_step;
  std::size_t per_checkpoint;
};
ReplayBytes lstm_replay_bytes(const LstmConfig& lstm);
/// The vector instruction set in use, e.g. "AVX3".
std::string simd_target();

// Any cell of cell_list.h, coordinate by coordinate (generic_driver.cpp). packed is phi itself.
std::size_t generic_packed_bytes(const CellConfig& cell);
void generic_pack(const PackArgs& args);
void generic_step(const StepArgs& args, ThreadPool& pool);
std::size_t generic_unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, int threads);
void generic_unroll_backward(const UnrollBackwardArgs& args, ThreadPool& pool);

// Adam on phi (meta_update.cpp).
void meta_update(const MetaUpdateArgs& args);

// Gradients that are not finite (not_finite.cpp).
void count_not_finite(const CountNotFiniteArgs& args, ThreadPool& pool);
void zero_not_finite(const ZeroNotFiniteArgs& args, ThreadPool& pool);

// What optimizees are made of; one file each.
void fill_random(const FillRandomArgs& args, ThreadPool& pool);
void gemm(const GemmArgs& args, ThreadPool& pool);
void bias_activation(const BiasActivationArgs& args, ThreadPool& pool);
void bias_activation_backward(const BiasActivationBackwardArgs& args, ThreadPool& pool);
void softmax_cross_entropy(const SoftmaxCrossEntropyArgs& args, ThreadPool& pool);
void gather_minibatch(const GatherMinibatchArgs& args, ThreadPool& pool);
void quadratic(const QuadraticArgs& args, ThreadPool& pool);

}  // namespace l2o::cpu
