// The ranks of a run: processes that each hold some of its shards, and their communication.
//
// Every function except rank() and size() is collective: all ranks call it, in the same order.
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

  /// Sends block r of `send` to rank r; block r of `receive` comes from rank r. Both have size()
  /// blocks, of the same length on all ranks.
  virtual void all_to_all(std::span<const double> send, std::span<double> receive) = 0;
  /// Block r of `receive` is the `send` of rank r, which has the same length on all ranks.
  virtual void all_gather(std::span<const double> send, std::span<double> receive) = 0;
  /// Returns the bytes that each rank sends, of any length, on rank 0; empty elsewhere.
  virtual std::vector<Bytes> gather(const Bytes& send) = 0;
  /// Returns rank 0's bytes on every rank.
  virtual Bytes broadcast(Bytes bytes) = 0;
};

/// The only rank of a run in a single process.
class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_to_all(std::span<const double> send, std::span<double> receive) override;
  void all_gather(std::span<const double> send, std::span<double> receive) override;
  std::vector<Bytes> gather(const Bytes& send) override { return {send}; }
  Bytes broadcast(Bytes bytes) override { return bytes; }
};

/// The communicator of a run in a single process.
Communicator& only_rank();

/// Returns the numbers of all ranks, in rank order, on rank 0; empty elsewhere. Collective.
std::vector<float> gather_numbers(Communicator& ranks, std::vector<float> numbers);

/// Returns the numbers of all ranks, in rank order, on every rank; each sends equally many.
/// Collective.
std::vector<double> all_gathered(Communicator& ranks, std::span<const double> send);

/// Returns once all ranks have called it. Collective.
void barrier(Communicator& ranks);

/// Runs `work` on rank 0 only; every rank returns its result or throws its Error. Collective.
Bytes at_root(Communicator& ranks, const std::function<Bytes()>& work);

}  // namespace l2o
