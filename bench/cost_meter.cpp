#include "bench/cost_meter.h"

#include <utility>

namespace l2o {

void CostMeter::add(double op_flops, double op_bytes, bool on_tensor_cores) {
  work_.flops += op_flops;
  work_.bytes += op_bytes;
  work_.roof_seconds += roofs_.seconds(op_flops, op_bytes, on_tensor_cores);
}

// Copies: read and written.
void CostMeter::upload(void* destination, const void* source, std::size_t bytes) {
  backend_.upload(destination, source, bytes);
  add(0.0, 2.0 * static_cast<double>(bytes));
}
void CostMeter::download(void* destination, const void* source, std::size_t bytes) {
  backend_.download(destination, source, bytes);
  add(0.0, 2.0 * static_cast<double>(bytes));
}
void CostMeter::copy(void* destination, const void* source, std::size_t bytes) {
  backend_.copy(destination, source, bytes);
  add(0.0, 2.0 * static_cast<double>(bytes));
}
void CostMeter::fill_zero(void* destination, std::size_t bytes) {
  backend_.fill_zero(destination, bytes);
  add(0.0, static_cast<double>(bytes));
}

namespace {

/// A recording and the cost of each repetition.
struct MeteredRecording final : Recording {
  std::unique_ptr<Recording> inner;
  Work work;
};

}  // namespace

void CostMeter::run(std::unique_ptr<Recording>& recording, const std::function<void()>& work) {
  if (!records_) return work();
  if (!recording) recording = std::make_unique<MeteredRecording>();
  auto& metered = static_cast<MeteredRecording&>(*recording);
  const Work before = std::exchange(work_, {});
  backend_.run(metered.inner, work);
  // A device that repeats a recording calls no op.
  if (work_.bytes > 0.0) metered.work = work_;
  work_ = before;
  work_.flops += metered.work.flops;
  work_.bytes += metered.work.bytes;
  work_.roof_seconds += metered.work.roof_seconds;
}

std::size_t CostMeter::packed_bytes(const CellConfig& cell) const {
  return backend_.packed_bytes(cell);
}
std::size_t CostMeter::state_bytes(const CellConfig& cell, std::int64_t n) const {
  return backend_.state_bytes(cell, n);
}
std::size_t CostMeter::unroll_backward_scratch_bytes(const UnrollBackwardArgs& args) const {
  return backend_.unroll_backward_scratch_bytes(args);
}
int CostMeter::plan_segment_length(const CellConfig& cell, int unroll_length,
                                   std::size_t budget) const {
  return backend_.plan_segment_length(cell, unroll_length, budget);
}
void CostMeter::export_state(const CellConfig& cell, std::int64_t n, const void* state,
                             float* host_state) {
  backend_.export_state(cell, n, state, host_state);
}
void CostMeter::import_state(const CellConfig& cell, std::int64_t n, const float* host_state,
                             void* state) {
  backend_.import_state(cell, n, host_state, state);
}

}  // namespace l2o
