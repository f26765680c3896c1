// The launchers of the CPU: one function per op, complete when it returns. The arguments are those
// of kernels/op_args.h, here in host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cpu/thread_pool.h"
#include "kernels/op_list.h"

namespace l2o::cpu {

// void step(const StepArgs& args, ThreadPool& pool); and so on; one or a few ops per file.
#define L2O_DECLARE_LAUNCHER(op, Args) void op(const Args& args, ThreadPool& pool);
L2O_FOR_EACH_OP(L2O_DECLARE_LAUNCHER)
#undef L2O_DECLARE_LAUNCHER

// Sizes of the update rule's memory (optimizer_ops.cpp).
std::size_t packed_bytes(const CellConfig& cell);
std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, int threads);
/// Replay scratch of one worker.
ReplayBytes replay_bytes(const CellConfig& cell);

/// The vector instruction set in use, e.g. "AVX3".
std::string simd_target();
/// All instruction sets for which this CPU has kernels, best first; the best is in use.
std::vector<std::string> simd_targets();
/// Makes all launchers use the given element of simd_targets(), to measure or test what another
/// CPU would run. Returns false, and changes nothing, for any other name. Must not be called
/// while a launcher runs.
bool use_simd_target(std::string_view name);

// The tuned LSTM, 1 to 3 layers: SIMD over coordinates (lstm_kernels.cpp). packed holds the weights
// in the order in which its inner loops read them.
std::size_t lstm_packed_bytes(const LstmConfig& lstm);
void lstm_pack(const PackArgs& args);
void lstm_step(const StepArgs& args, ThreadPool& pool);
std::size_t lstm_unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, int threads);
void lstm_unroll_backward(const UnrollBackwardArgs& args, ThreadPool& pool);
ReplayBytes lstm_replay_bytes(const LstmConfig& lstm);

// Any cell of cell_list.h, coordinate by coordinate (generic_driver.cpp). packed is phi itself.
std::size_t generic_packed_bytes(const CellConfig& cell);
void generic_pack(const PackArgs& args);
void generic_step(const StepArgs& args, ThreadPool& pool);
std::size_t generic_unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, int threads);
void generic_unroll_backward(const UnrollBackwardArgs& args, ThreadPool& pool);

}  // namespace l2o::cpu
