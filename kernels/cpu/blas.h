// OpenBLAS, called by several threads at once where it may be.
#pragma once

#include <cblas.h>

#include <cstdint>
#include <mutex>

#include "kernels/cpu/thread_pool.h"

namespace l2o::cpu {

/// Whether OpenBLAS may be called by several threads at once. A threaded build may, and is told to
/// start none of its own. A serial build (Debian's 0.3.21) hands the same work buffer to two
/// callers and then returns wrong products: measured, one in 800 calls by four threads.
inline bool openblas_is_reentrant() {
  static const bool reentrant = [] {
    openblas_set_num_threads(1);
    return openblas_get_parallel() != OPENBLAS_SEQUENTIAL;
  }();
  return reentrant;
}

/// As ThreadPool::parallel_for, for tasks that call OpenBLAS.
template <class Task>
void parallel_products(ThreadPool& pool, std::int64_t count, Task&& task) {
  if (openblas_is_reentrant()) {
    pool.parallel_for(count, task);
    return;
  }
  static std::mutex one_caller;  // other pools' threads call too
  const std::lock_guard lock(one_caller);
  for (std::int64_t index = 0; index < count; ++index) task(index, 0);
}

}  // namespace l2o::cpu
