// The processes that mpirun or srun start for one command.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>

#include "host/comm/communicator.h"

namespace l2o::cli {

inline constexpr int kDefaultTimeout = 300;  // seconds

/// Adds --timeout.
void add_timeout_flag(CLI::App& verb, int& timeout);

/// A rank and its position on its machine.
struct Rank {
  Communicator& communicator;
  int local_rank = 0;  ///< number among the ranks of this machine
  int local_size = 1;  ///< number of ranks on this machine

  bool is_root() const { return communicator.is_root(); }
};

/// Runs `work` as this process's rank, or as the only rank if no launcher has started several, and
/// returns its exit code. Throws kUsage if several processes were started that cannot communicate,
/// because this build has no MPI, or because the launcher belongs to another MPI.
///
/// With several ranks, an error on one rank ends all of them; its line on stderr starts with the
/// rank's number. An error that all ranks share is printed once. If a signal kills a rank, a
/// message names it, and the exit code is that of kRankLost. timeout: how long to wait for a silent
/// rank.
int run_on_ranks(std::chrono::seconds timeout, const std::function<int(const Rank&)>& work);

}  // namespace l2o::cli
