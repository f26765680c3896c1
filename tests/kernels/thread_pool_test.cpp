#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace l2o::cpu {
namespace {

TEST(ThreadPool, RunsEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::int64_t count : {0, 1, 2, 3, 100, 5000}) {
      std::vector<int> runs(static_cast<std::size_t>(count), 0);
      std::atomic<bool> workers_in_range{true};
      pool.parallel_for(count, [&](std::int64_t index, int worker) {
        ++runs[static_cast<std::size_t>(index)];  // a second run of an index would be a data race
        if (worker < 0 || worker >= threads) workers_in_range = false;
      });
      EXPECT_EQ(runs, std::vector<int>(runs.size(), 1)) << threads << " threads, " << count;
      EXPECT_TRUE(workers_in_range);
    }
  }
}

// Data written by a job is visible to the caller and to the next job, whichever thread runs it.
TEST(ThreadPool, ConsecutiveJobsSeeEachOthersWrites) {
  ThreadPool pool(4);
  std::vector<int> values(64, 0);
  for (int round = 0; round < 5000; ++round) {
    pool.parallel_for(64, [&](std::int64_t index, int) {
      const auto i = static_cast<std::size_t>(index);
      values[i] = values[i] + 1;
    });
  }
  EXPECT_EQ(values, std::vector<int>(64, 5000));
}

// The job finishes only if all threads run at the same time.
TEST(ThreadPool, AllThreadsParticipate) {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // until the workers are asleep
    std::atomic<int> arrived{0};
    pool.parallel_for(3, [&](std::int64_t, int) {
      ++arrived;
      while (arrived < 3) std::this_thread::yield();
    });
    EXPECT_EQ(arrived, 3);
  }
}

TEST(ThreadPool, AThrowingPollEndsAnInterruptibleJob) {
  for (const int threads : {1, 3}) {
    SCOPED_TRACE(threads);
    int polls = 0;
    ThreadPool pool(threads, [&] {
      if (++polls == 3) throw std::runtime_error("enough");
    });
    std::atomic<int> done{0};
    const auto task = [&](std::int64_t, int) { ++done; };
    EXPECT_THROW(pool.interruptible_for(1'000'000, task), std::runtime_error);
    EXPECT_LT(done, 1'000'000);
    // The pool remains usable, and other jobs are never interrupted.
    done = 0;
    polls = 0;
    pool.parallel_for(1000, task);
    EXPECT_EQ(done, 1000);
    EXPECT_EQ(polls, 0);
  }
}

// Ensures the same bits in every thread, and that decaying moments do not slow it down.
TEST(ThreadPool, FlushesDenormalsInTasksOnly) {
  const volatile float small = 1e-30F;
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    std::atomic<int> zeros{0};
    pool.parallel_for(100, [&](std::int64_t, int) { zeros += small * 1e-10F == 0.0F ? 1 : 0; });
    EXPECT_EQ(zeros, 100) << threads << " threads";
    EXPECT_NE(small * 1e-10F, 0.0F);
  }
}

// A child of fork() has only the thread that forked.
TEST(ThreadPool, RunsAndEndsInAChildProcess) {
  auto pool = std::make_unique<ThreadPool>(3);
  const auto sum_of = [&] {
    std::atomic<int> sum{0};
    pool->parallel_for(100, [&](std::int64_t index, int) { sum += static_cast<int>(index); });
    return sum.load();
  };
  EXPECT_EQ(sum_of(), 4950);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(60);  // in case it hangs
    const bool is_right = sum_of() == 4950;
    pool.reset();
    _exit(is_right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(sum_of(), 4950);
}

}  // namespace
}  // namespace l2o::cpu
