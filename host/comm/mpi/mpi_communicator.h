// Ranks started by MPI. Used by the program only: libl2o does not link MPI.
#pragma once

// Skip the obsolete C++ bindings, which would need an additional library.
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

/// All ranks of MPI_COMM_WORLD. One object per process; MPI is initialized for its lifetime.
///
/// Ranks exchange data directly with each other, so that an unresponsive rank can be identified:
/// collective functions throw kRankLost, naming the ranks, if a rank has sent nothing for
/// `timeout`, or for a few seconds after this rank was told to stop, or if MPI has lost it.
class MpiCommunicator final : public Communicator {
 public:
  /// is_told_to_stop: whether this rank has received a signal. Launchers send it to all ranks, even
  /// if one of them is gone, and do not wait long for the others.
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

  /// This rank's number among the ranks of this machine, and their count.
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }

  /// For a rank that is about to exit with an error: returns whether all ranks are, with the same
  /// error. Waits a moment for them. Not collective: ranks that keep working do not notice.
  bool all_end_by(std::uint64_t error_hash);
  /// Terminates all ranks immediately with this exit code.
  [[noreturn]] static void abort(int exit_code);

 private:
  struct Transfers;

  /// Sends `block` numbers to every rank, those of rank r from r * stride on; block r of `receive`
  /// is what rank r sent here.
  void exchange(std::span<const double> send, std::size_t block, std::size_t stride,
                std::span<double> receive, std::chrono::milliseconds after_signal);
  std::vector<std::uint64_t> sizes_of_all(std::size_t mine);
  /// after_signal: the longest wait while there is a signal to stop.
  void wait(Transfers& transfers, std::chrono::milliseconds timeout,
            std::chrono::milliseconds after_signal);

  std::chrono::seconds timeout_;
  std::function<bool()> is_told_to_stop_;
  int rank_ = 0, size_ = 1;
  int local_rank_ = 0, local_size_ = 1;
  MPI_Comm world_ = MPI_COMM_NULL;   // for the functions above
  MPI_Comm ending_ = MPI_COMM_NULL;  // for all_end_by()
};

}  // namespace l2o
