// A persistent pool: spawning threads for every op would halve the throughput at 16k coordinates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>

namespace l2o::cpu {

/// In a child process of fork(), a pool runs everything in the calling thread.
class ThreadPool {
 public:
  /// Starts `threads` workers, at least 1; the caller of parallel_for is one of them. Throws
  /// std::system_error or std::bad_alloc if the system cannot start them all, leaving none running.
  /// `poll`, if set, is for interruptible_for().
  explicit ThreadPool(int threads, std::function<void()> poll = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  /// Runs task(index, worker) for every index in [0, count), each once, in any order and on any
  /// worker in [0, threads()); returns when all are done. Not reentrant; one caller at a time.
  /// Denormal floats are treated as 0 in the tasks.
  template <class Task>
  void parallel_for(std::int64_t count, Task&& task) {
    run(count, task, nullptr);
  }

  /// The same, but calls the pool's poll in the calling thread between its tasks. If it throws, no
  /// further task starts, and the exception propagates once the running tasks are done: for a long
  /// op that may be left half done.
  template <class Task>
  void interruptible_for(std::int64_t count, Task&& task) {
    run(count, task, &poll_);
  }

  /// At least `bytes` of scratch memory for one op, aligned to 64 bytes. Its contents are
  /// undefined, and the next caller gets the same memory. Grows when more is requested than ever
  /// before.
  std::byte* workspace(std::size_t bytes);

 private:
  using Call = void (*)(void* task, std::int64_t index, int worker);
  template <class Task>
  void run(std::int64_t count, Task& task, const std::function<void()>* poll) {
    run(
        count, const_cast<void*>(static_cast<const void*>(&task)),
        [](void* erased, std::int64_t index, int worker) {
          (*static_cast<Task*>(erased))(index, worker);
        },
        poll);
  }
  void run(std::int64_t count, void* task, Call call, const std::function<void()>* poll);

  std::function<void()> poll_;
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace l2o::cpu
