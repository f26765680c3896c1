// A persistent pool: spawning threads for every op would halve the rate at 16k coordinates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace l2o::cpu {

class ThreadPool {
 public:
  /// `threads` workers, the caller of parallel_for being one of them; at least 1. Throws
  /// std::system_error, std::bad_alloc where the system cannot start so many; none is left then.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  /// Runs task(index, worker) for every index in [0, count), each once, in any order and on any
  /// worker in [0, threads()); returns when all are done. Not reentrant, one caller at a time.
  /// Denormal floats count as 0 in the tasks.
  template <class Task>
  void parallel_for(std::int64_t count, Task&& task) {
    using Plain = std::remove_reference_t<Task>;
    run(count, const_cast<void*>(static_cast<const void*>(&task)),
        [](void* erased, std::int64_t index, int worker) {
          (*static_cast<Plain*>(erased))(index, worker);
        });
  }

  /// At least `bytes` of memory for the inner business of one op, aligned to 64 bytes; it holds
  /// anything, and is the next caller's as well. Grows when more is asked for than ever before.
  std::byte* workspace(std::size_t bytes);

 private:
  using Call = void (*)(void* task, std::int64_t index, int worker);
  void run(std::int64_t count, void* task, Call call);

  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace l2o::cpu
