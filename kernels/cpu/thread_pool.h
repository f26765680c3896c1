// A persistent pool: spawning threads for every op would halve the rate at 16k coordinates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>

namespace l2o::cpu {

class ThreadPool {
 public:
  /// `threads` workers, the caller of parallel_for being one of them; at least 1. Throws
  /// std::system_error, std::bad_alloc where the system cannot start so many; none is left then.
  /// poll, where there is one, is for interruptible_for().
  explicit ThreadPool(int threads, std::function<void()> poll = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  /// Runs task(index, worker) for every index in [0, count), each once, in any order and on any
  /// worker in [0, threads()); returns when all are done. Not reentrant, one caller at a time.
  /// Denormal floats count as 0 in the tasks.
  template <class Task>
  void parallel_for(std::int64_t count, Task&& task) {
    run(count, task, nullptr);
  }

  /// The same, and calls the pool's poll in the calling thread between its tasks. Where that
  /// throws, no further task begins, and the exception leaves once those at work are done: for an
  /// op that takes long and may be left half done.
  template <class Task>
  void interruptible_for(std::int64_t count, Task&& task) {
    run(count, task, &poll_);
  }

  /// At least `bytes` of memory for the inner business of one op, aligned to 64 bytes; it holds
  /// anything, and is the next caller's as well. Grows when more is asked for than ever before.
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
