// Ranks implemented as threads of one process.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstddef>
#include <exception>
#include <functional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "host/comm/communicator.h"

namespace l2o::test {

/// The place where the threads publish the data that they send.
struct Table {
  explicit Table(int ranks)
      : doubles(static_cast<std::size_t>(ranks)),
        bytes(static_cast<std::size_t>(ranks)),
        barrier(ranks) {}

  std::vector<std::span<const double>> doubles;
  std::vector<Bytes> bytes;
  std::barrier<> barrier;
};

class ThreadRank final : public Communicator {
 public:
  ThreadRank(Table& table, int rank) : table_(table), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(table_.doubles.size()); }
  void all_to_all(std::span<const double> send, std::span<double> receive) override {
    const std::size_t block = send.size() / table_.doubles.size();
    share(table_.doubles, send, [&] {
      for (std::size_t r = 0; r < table_.doubles.size(); ++r) {
        std::ranges::copy(table_.doubles[r].subspan(index() * block, block),
                          receive.begin() + static_cast<std::ptrdiff_t>(r * block));
      }
    });
  }
  void all_gather(std::span<const double> send, std::span<double> receive) override {
    share(table_.doubles, send, [&] {
      auto end = receive.begin();
      for (const auto& part : table_.doubles) end = std::ranges::copy(part, end).out;
    });
  }
  std::vector<Bytes> gather(const Bytes& send) override {
    std::vector<Bytes> all;
    share(table_.bytes, send, [&] {
      if (rank_ == 0) all = table_.bytes;
    });
    return all;
  }
  Bytes broadcast(Bytes bytes) override {
    Bytes of_root;
    share(table_.bytes, std::move(bytes), [&] { of_root = table_.bytes.front(); });
    return of_root;
  }

 private:
  std::size_t index() const { return static_cast<std::size_t>(rank_); }
  template <class Value>
  void share(std::vector<Value>& slots, Value mine, const std::function<void()>& read) {
    slots[index()] = std::move(mine);
    table_.barrier.arrive_and_wait();
    read();
    table_.barrier.arrive_and_wait();
  }

  Table& table_;
  int rank_;
};

/// Runs `work` on each of this many ranks; rethrows the exception of the lowest rank that failed.
inline void on_ranks(int ranks, const std::function<void(Communicator&)>& work) {
  Table table(ranks);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks));
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        ThreadRank self(table, rank);
        try {
          work(self);
        } catch (...) {
          failures[static_cast<std::size_t>(rank)] = std::current_exception();
        }
        table.barrier.arrive_and_drop();  // release the waiting ranks
      });
    }
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace l2o::test
