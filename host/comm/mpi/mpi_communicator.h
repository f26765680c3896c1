// Ranks that MPI has started. For the program alone: libl2o does not link MPI.
#pragma once

// Not the C++ bindings of old, which would want a library of their own.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "host/comm/communicator.h"

namespace l2o {

/// All ranks of MPI_COMM_WORLD. One object a process; MPI lives as long as it.
///
/// What ranks tell each other goes from each to each without detours, so that one that does not
/// answer is known by its number: collective functions throw kRankLost, naming the ranks, where one
/// has sent nothing for `timeout`, or for some seconds since this one was told to stop, or where
/// MPI has lost it.
class MpiCommunicator final : public Communicator {
 public:
  /// is_told_to_stop: whether a signal has come to this rank. Launchers send it to all, also where
  /// one of them is gone, and do not wait long for the others.
  MpiCommunicator(std::chrono::seconds timeout, std::function<bool()> is_told_to_stop);
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_to_all(std::span<const double> send, std::span<double> receive) override;
  void all_gather(std::span<const double> send, std::span<double> receive) override;
  std::vector<Bytes> gather(const Bytes& send) override;
  Bytes broadcast(Bytes bytes) override;

  /// Number among the ranks of this machine, and how many they are.
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }

  /// For a rank that is about to end by an error: whether all ranks are, and by the same one. Waits
  /// for them a moment. Not collective: those that work on do not notice.
  bool all_end_by(std::uint64_t error_hash);
  /// Ends all ranks at once, with this exit code.
  [[noreturn]] static void abort(int exit_code);

 private:
  struct Transfers;

  std::vector<std::uint64_t> sizes_of_all(std::size_t mine);
  /// can_hurry: what is on its way is so little that nobody waits for it while there is a signal.
  void wait(Transfers& transfers, std::chrono::milliseconds timeout, bool can_hurry = true);

  std::chrono::seconds timeout_;
  std::function<bool()> is_told_to_stop_;
  int rank_ = 0, size_ = 1;
  int local_rank_ = 0, local_size_ = 1;
  MPI_Comm world_ = MPI_COMM_NULL;   // of the functions above
  MPI_Comm ending_ = MPI_COMM_NULL;  // of all_end_by()
};

}  // namespace l2o
