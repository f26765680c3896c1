// The ranks of a run: processes that each hold some of its shards, and what they tell each other.
//
// Every function but rank() and size() is collective: all ranks call it, in the same order.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace l2o {

using Bytes = std::vector<std::byte>;

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool is_root() const { return rank() == 0; }

  /// Block r of `send` goes to rank r; block r of `receive` is what rank r sent here. Both have
  /// size() blocks, which are equally long on all ranks.
  virtual void all_to_all(std::span<const double> send, std::span<double> receive) = 0;
  /// Block r of `receive` is the `send` of rank r, equally long on all ranks.
  virtual void all_gather(std::span<const double> send, std::span<double> receive) = 0;
  /// What every rank sends, of any length each, at rank 0; empty elsewhere.
  virtual std::vector<Bytes> gather(const Bytes& send) = 0;
  /// Rank 0's bytes, at every rank.
  virtual Bytes broadcast(Bytes bytes) = 0;
};

/// The only rank there is.
class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_to_all(std::span<const double> send, std::span<double> receive) override;
  void all_gather(std::span<const double> send, std::span<double> receive) override;
  std::vector<Bytes> gather(const Bytes& send) override { return {send}; }
  Bytes broadcast(Bytes bytes) override { return bytes; }
};

/// For who computes alone.
Communicator& only_rank();

/// The numbers of all ranks, rank after rank, at rank 0; empty elsewhere. Collective.
std::vector<float> gather_numbers(Communicator& ranks, std::vector<float> numbers);

/// Does `work` at rank 0 alone; what it returns there, or throws, is every rank's. Collective.
Bytes at_root(Communicator& ranks, const std::function<Bytes()>& work);

}  // namespace l2o
