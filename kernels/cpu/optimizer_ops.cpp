// The ops of update rules: the tuned kernels run the LSTM with layers, the generic driver runs
// every other cell.
#include "kernels/cells/cell_list.h"
#include "kernels/cpu/launchers.h"

namespace l2o::cpu {
std::size_t packed_bytes(const CellConfig& cell) {
  return has_lstm_kernels(cell) ? lstm_packed_bytes(cell.lstm) : generic_packed_bytes(cell);
}

void pack(const PackArgs& args, ThreadPool& /*pool*/) {
  has_lstm_kernels(args.cell) ? lstm_pack(args) : generic_pack(args);
}

void step(const StepArgs& args, ThreadPool& pool) {
  has_lstm_kernels(args.cell) ? lstm_step(args, pool) : generic_step(args, pool);
}

std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, int threads) {
  return has_lstm_kernels(args.cell) ? lstm_unroll_backward_scratch_bytes(args, threads)
                                     : generic_unroll_backward_scratch_bytes(args, threads);
}

void unroll_backward(const UnrollBackwardArgs& args, ThreadPool& pool) {
  has_lstm_kernels(args.cell) ? lstm_unroll_backward(args, pool)
                              : generic_unroll_backward(args, pool);
}

ReplayBytes replay_bytes(const CellConfig& cell) {
  if (has_lstm_kernels(cell)) return lstm_replay_bytes(cell.lstm);
  // For one worker, which replays one tile at a time.
  const std::size_t state = static_cast<std::size_t>(cell_state_size(cell)) * kTile * sizeof(float);
  return {state, state};
}

}  // namespace l2o::cpu
