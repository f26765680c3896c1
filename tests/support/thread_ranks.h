// Ranks implemented as threads of one process.
#pragma once

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <exception>
#include <functional>
#include <span>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "host/comm/communicator.h"

namespace l2o::test {

/// The place where the threads publish the data that they send.
struct Exchange {
  explicit Exchange(int ranks)
      : doubles(static_cast<std::size_t>(ranks)),
        bytes(static_cast<std::size_t>(ranks)),
        barrier(ranks) {}

  std::vector<std::span<const double>> doubles;
  std::vector<Bytes> bytes;
  std::barrier<> barrier;
  std::atomic<bool> failed{false};  // a rank ended early: its data may be gone
};

/// Ends a rank that waits for another one which failed.
struct OtherRankFailed {};

class ThreadRank final : public Communicator {
 public:
  ThreadRank(Exchange& exchange, int rank) : exchange_(exchange), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(exchange_.doubles.size()); }
  void all_to_all(std::span<const double> send, std::span<double> receive) override {
    const std::size_t block = send.size() / exchange_.doubles.size();
    share(exchange_.doubles, send, [&] {
      for (std::size_t r = 0; r < exchange_.doubles.size(); ++r) {
        std::ranges::copy(exchange_.doubles[r].subspan(index() * block, block),
                          receive.begin() + static_cast<std::ptrdiff_t>(r * block));
      }
    });
  }
  void all_gather(std::span<const double> send, std::span<double> receive) override {
    share(exchange_.doubles, send, [&] {
      auto end = receive.begin();
      for (const auto& part : exchange_.doubles) {
        if (part.size() != send.size()) throw std::logic_error("ranks send different amounts");
        end = std::ranges::copy(part, end).out;
      }
    });
  }
  std::vector<Bytes> gather(const Bytes& send) override {
    std::vector<Bytes> all;
    share(exchange_.bytes, send, [&] {
      if (rank_ == 0) all = exchange_.bytes;
    });
    return all;
  }
  Bytes broadcast(Bytes bytes) override {
    Bytes of_root;
    share(exchange_.bytes, std::move(bytes), [&] { of_root = exchange_.bytes.front(); });
    return of_root;
  }

 private:
  std::size_t index() const { return static_cast<std::size_t>(rank_); }
  template <class Value>
  void share(std::vector<Value>& slots, Value mine, const std::function<void()>& read) {
    slots[index()] = std::move(mine);
    exchange_.barrier.arrive_and_wait();
    if (exchange_.failed) throw OtherRankFailed();
    read();
    exchange_.barrier.arrive_and_wait();
  }

  Exchange& exchange_;
  int rank_;
};

/// Runs `work` on each of this many ranks; rethrows the exception of the lowest rank that failed.
inline void on_ranks(int ranks, const std::function<void(Communicator&)>& work) {
  Exchange exchange(ranks);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks));
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        ThreadRank self(exchange, rank);
        try {
          work(self);
        } catch (const OtherRankFailed&) {
          // That rank has the cause.
        } catch (...) {
          failures[static_cast<std::size_t>(rank)] = std::current_exception();
          exchange.failed = true;
        }
        exchange.barrier.arrive_and_drop();  // release the waiting ranks
      });
    }
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace l2o::test
