#include "kernels/cpu/thread_pool.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/cpu/flush_denormals.h"

namespace l2o::cpu {
namespace {

// Time that a thread spins before it sleeps: longer than the gaps between the ops of one unroll,
// far too short for a user to notice a busy CPU.
constexpr std::chrono::microseconds kSpinTime{40};

constexpr std::align_val_t kWorkspaceAlignment{64};

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Waits until `value` differs from `old`: spins for kSpinTime, then sleeps. Returns the new value.
std::uint32_t wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  const auto give_up = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 64; ++i) {
      const std::uint32_t now = value.load(std::memory_order_acquire);
      if (now != old) return now;
      pause_briefly();
    }
  } while (std::chrono::steady_clock::now() < give_up);
  for (;;) {
    value.wait(old, std::memory_order_acquire);
    const std::uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
  }
}

}  // namespace

// A job is published by incrementing `generation`. A worker participates only if it passes the
// `door` while the job is open: the caller closes the door once all indices are taken, and then
// waits for the workers inside. So a small job never waits for a sleeping worker to wake.
struct ThreadPool::Implementation {  // NOLINT(*.Padding): atomics on cache lines of their own
  static constexpr std::uint32_t kOpen =
      0x80000000U;  // bit of door; the other bits count the workers inside

  struct FreeWorkspace {
    void operator()(std::byte* memory) const { ::operator delete(memory, kWorkspaceAlignment); }
  };

  const pid_t process = getpid();
  std::vector<std::thread> workers;
  std::unique_ptr<std::byte, FreeWorkspace> workspace;
  std::size_t workspace_bytes = 0;
  std::int64_t count = 0;
  void* task = nullptr;
  Call call = nullptr;
  std::atomic<bool> quit{false};
  alignas(64) std::atomic<std::int64_t> next{0};  // the first index not yet taken
  alignas(64) std::atomic<std::uint32_t> generation{0};
  alignas(64) std::atomic<std::uint32_t> door{0};

  void participate(int worker, const std::function<void()>* poll = nullptr) {
    for (;;) {
      if (poll != nullptr && *poll) (*poll)();
      const std::int64_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= count) return;
      call(task, index, worker);
    }
  }

  bool enter() {
    std::uint32_t seen = door.load(std::memory_order_relaxed);
    while ((seen & kOpen) != 0) {
      if (door.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }

  void leave() {
    // The last worker to leave through a closed door wakes the caller.
    if (door.fetch_sub(1, std::memory_order_release) == 1) door.notify_one();
  }

  void work(int worker) {
    const FlushDenormals flush;
    std::uint32_t seen = 0;
    for (;;) {
      seen = wait_for_change(generation, seen);
      if (quit.load(std::memory_order_relaxed)) return;
      if (!enter()) continue;
      participate(worker);
      leave();
    }
  }

  void announce() {
    generation.fetch_add(1, std::memory_order_release);
    generation.notify_all();
  }

  void stop() {
    if (getpid() != process) {
      // A child process of fork() has no workers, and their handles may by now identify threads
      // that it has started itself. They can be neither joined nor destroyed, so they are leaked.
      new std::vector<std::thread>(std::move(workers));
      return;
    }
    quit.store(true, std::memory_order_relaxed);
    announce();
    for (std::thread& worker : workers) worker.join();
  }
};

ThreadPool::ThreadPool(int threads, std::function<void()> poll)
    : poll_(std::move(poll)), implementation_(std::make_unique<Implementation>()) {
  try {
    for (int worker = 1; worker < threads; ++worker) {
      implementation_->workers.emplace_back([this, worker] { implementation_->work(worker); });
    }
  } catch (...) {
    implementation_->stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { implementation_->stop(); }

int ThreadPool::threads() const { return static_cast<int>(implementation_->workers.size()) + 1; }

std::byte* ThreadPool::workspace(std::size_t bytes) {
  Implementation& pool = *implementation_;
  if (bytes > pool.workspace_bytes) {
    pool.workspace_bytes = 0;
    pool.workspace.reset();  // before the larger one is allocated
    pool.workspace.reset(static_cast<std::byte*>(::operator new(bytes, kWorkspaceAlignment)));
    pool.workspace_bytes = bytes;
  }
  return pool.workspace.get();
}

void ThreadPool::run(std::int64_t count, void* task, Call call, const std::function<void()>* poll) {
  const FlushDenormals flush;  // the same in every thread, whatever the caller's mode
  Implementation& pool = *implementation_;
  pool.count = count;
  pool.task = task;
  pool.call = call;
  pool.next.store(0, std::memory_order_relaxed);
  if (count <= 1 || pool.workers.empty()) {
    pool.participate(0, poll);
    return;
  }
  pool.door.store(Implementation::kOpen, std::memory_order_release);
  pool.announce();
  std::exception_ptr interruption;
  try {
    pool.participate(0, poll);
  } catch (...) {
    interruption = std::current_exception();
    pool.next.store(count, std::memory_order_relaxed);
  }
  std::uint32_t inside = pool.door.fetch_and(~Implementation::kOpen, std::memory_order_acquire) &
                         ~Implementation::kOpen;
  while (inside != 0) inside = wait_for_change(pool.door, inside);
  if (interruption) std::rethrow_exception(interruption);
}

}  // namespace l2o::cpu
