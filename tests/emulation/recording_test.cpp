// What the CUDA backend records, and what may happen meanwhile. tests/cuda tests that a recording
// does the same as its ops.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "host/backend/buffer.h"
#include "host/meta/unroll.h"
#include "host/optimizer/optimizer.h"
#include "tests/cuda/cuda_device.h"
#include "tests/emulation/emulation.h"
#include "tests/meta/small_problem.h"
#include "tests/support/error_of.h"

namespace l2o {
namespace {

std::unique_ptr<Backend> backend_on(void* stream) {
  return make_backend({.device = DeviceKind::kCuda, .stream = stream});
}

struct Repetitions {
  int work_runs = 0;
  int launches = 0;
};
Repetitions repeat(Backend& backend, int times, const std::function<void()>& work) {
  Repetitions result;
  const int before = emulation::graph_launches;
  std::unique_ptr<Recording> recording;
  for (int i = 0; i < times; ++i) {
    backend.run(recording, [&] {
      ++result.work_runs;
      work();
    });
  }
  result.launches = emulation::graph_launches - before;
  return result;
}

TEST(CudaRecording, RunsOnceThenRecordsThenReplays) {
  for (void* const stream : {static_cast<void*>(nullptr), static_cast<void*>(cudaStreamLegacy)}) {
    const auto backend = backend_on(stream);
    Buffer<float> from(*backend, 1), to(*backend, 1);
    from.upload({3.0F});
    const Repetitions repetitions =
        repeat(*backend, 4, [&] { backend->copy(to.data(), from.data(), from.bytes()); });
    EXPECT_EQ(repetitions.work_runs, 2);
    EXPECT_EQ(repetitions.launches, 3);
    EXPECT_EQ(to.download().front(), 3.0F);
  }
}

TEST(CudaRecording, RecordsAnUnroll) {
  const auto backend = test::cuda_backend();
  const auto task = test::optimizee(*backend, 1, "name = \"simple\"\ndimension = 3");
  DeviceOptimizer rule(
      *backend, make_lstm_optimizer({.layers = 1, .hidden = 8}, OutputInit::kTruncatedNormal, 1));
  Unroll unroll(*backend, {rule.cell()}, {{.optimizee = task.get()}},
                {.num_steps = 4, .unroll_length = 2}, {}, 0);
  const int before = emulation::graph_launches;
  for (std::uint32_t episode = 0; episode < 3; ++episode) {
    unroll.start_episode({{.seed = 1, .first = episode}});
    for (int k = 0; k < 2; ++k) unroll.forward_and(rule, {k}, [] {});
  }
  EXPECT_EQ(emulation::graph_launches - before, 4);
}

TEST(CudaRecording, MemoryMayBeReleasedByAnotherThreadMeanwhile) {
  const auto backend = test::cuda_backend();
  Buffer<float> from(*backend, 1), to(*backend, 1);
  from.upload({3.0F});
  const std::size_t before = backend->memory_in_use();
  std::vector<Buffer<float>> others;
  others.reserve(2);
  for (int i = 0; i < 2; ++i) others.emplace_back(*backend, 100);
  const Repetitions repetitions = repeat(*backend, 3, [&] {
    backend->copy(to.data(), from.data(), from.bytes());
    std::thread([&] { others.pop_back(); }).join();
  });
  EXPECT_EQ(repetitions.work_runs, 2);
  EXPECT_EQ(repetitions.launches, 2);
  EXPECT_EQ(backend->memory_in_use(), before);
}

TEST(CudaRecording, FallsBackIfDisturbed) {
  const auto backend = test::cuda_backend();
  Buffer<float> from(*backend, 1), to(*backend, 1);
  from.upload({3.0F});
  const Repetitions repetitions = repeat(*backend, 3, [&] {
    backend->copy(to.data(), from.data(), from.bytes());
    backend->synchronize();  // breaks the recording
  });
  EXPECT_EQ(repetitions.work_runs, 1 + 2 + 2);
  EXPECT_EQ(repetitions.launches, 0);
  EXPECT_EQ(to.download().front(), 3.0F);
}

TEST(CudaRecording, AllocatesNoMemory) {
  const auto backend = test::cuda_backend();
  const std::size_t before = backend->memory_in_use();
  std::unique_ptr<Recording> recording;
  const auto work = [&] { Buffer<float>(*backend, 100).fill_zero(); };
  backend->run(recording, work);
  const ThrownError error = error_of([&] { backend->run(recording, work); });
  EXPECT_EQ(error.status, Status::kInternal);
  EXPECT_EQ(backend->memory_in_use(), before);
  EXPECT_NO_THROW(work());
}

TEST(CudaBackendOfAnyGpu, ErrorIsNotReportedByTheNextLaunch) {
  const auto backend = test::cuda_backend();
  Buffer<float> memory(*backend, 8);
  EXPECT_EQ(error_of([&] { backend->fill_zero(memory.data() + 1, memory.bytes()); }).status,
            Status::kFailure);
  FillRandomArgs args;
  args.batch = 1;
  args.count = 8;
  args.out = memory.data();
  EXPECT_NO_THROW(backend->fill_random(args));
}

TEST(CudaBackendOfAnyGpu, IsSkippedByAutoIfTooOld) {
  const emulation::RestoreSettings restore;
  emulation::settings.compute_capability = 7;
  EXPECT_NE(why_no_accelerator().find("compute capability 7"), std::string::npos);
  EXPECT_EQ(make_backend({})->device().kind, DeviceKind::kCpu);
  EXPECT_EQ(make_backend({.number = 5})->device().kind, DeviceKind::kCpu);
}

TEST(CudaBackendOfAnyGpu, RejectsThePerThreadStream) {
  const ThrownError error = error_of([] { backend_on(cudaStreamPerThread); });
  EXPECT_EQ(error.status, Status::kUsage);
  EXPECT_TRUE(error.says("cudaStreamPerThread")) << error.message;
}

}  // namespace
}  // namespace l2o
