// The processes that mpirun or srun start for one verb.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>

#include "host/comm/communicator.h"

namespace l2o::cli {

inline constexpr int kDefaultTimeout = 300;  // seconds

/// Adds --timeout.
void add_timeout_flag(CLI::App& verb, int& timeout);

/// A rank, and its place on its machine.
struct Rank {
  Communicator& all;
  int local_rank = 0;  ///< number among the ranks of this machine
  int local_size = 1;  ///< and how many they are

  bool is_root() const { return all.is_root(); }
};

/// Runs `work` as the rank that this process is, or as the only one where nothing has started
/// several, and returns its exit code. Throws kUsage where several were started that cannot talk to
/// each other: a build without MPI, or a launcher of another MPI.
///
/// Of several ranks, an error of one ends all: its line on stderr begins with the rank's number; an
/// error that all have alike is said once. Where a signal kills a rank, it is named, and the exit
/// code is that of kRankLost. timeout: how long ranks wait for one that sends nothing.
int run_on_ranks(std::chrono::seconds timeout, const std::function<int(const Rank&)>& work);

}  // namespace l2o::cli
