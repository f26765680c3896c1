#include "host/cli/ranks.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "host/cli/checked_option.h"
#include "host/cli/failure.h"
#include "host/cli/output.h"
#include "host/core/error.h"

#ifdef L2O_MPI
#include <xxhash.h>

#include <csignal>
#include <cstdint>
#include <cstring>
#include <thread>

#include "host/cli/stop_signal.h"
#include "host/cli/supervisor.h"
#include "host/comm/mpi/mpi_communicator.h"
#endif

namespace l2o::cli {
namespace {

/// Information that a launcher passes to the processes that it starts.
struct Launch {
  int processes = 1;
  int rank = 0;
  std::string variable = {};  ///< the one that gives the number of processes
};

int number_in(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return otherwise;
  const std::string_view view = text;
  int number = otherwise;
  std::from_chars(view.data(), view.data() + view.size(), number);
  return number;
}

Launch launch_of_environment() {
  struct Launcher {
    const char *processes, *rank;
  };
  // Open MPI; MPICH, Intel MPI and others with its interface; MVAPICH2; srun. SLURM_NTASKS is not
  // suitable: it is also set in a batch script that starts a single process.
  for (const Launcher& launcher :
       {Launcher{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}, Launcher{"PMI_SIZE", "PMI_RANK"},
        Launcher{"MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"},
        Launcher{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}}) {
    const int processes = number_in(launcher.processes, 1);
    if (processes > 1) return {processes, number_in(launcher.rank, 0), launcher.processes};
  }
  return {};
}

#ifdef L2O_MPI

/// Prints why this rank fails and ends it or all ranks. Returns the exit code.
int end_by(const Failure& failure, MpiCommunicator& ranks) {
  const std::string prefix = fmt::format("l2o: rank {} of {}: ", ranks.rank(), ranks.size());
  const int exit_code = static_cast<int>(failure.status);
  if (failure.status == Status::kRankLost) {
    // The other ranks are about to print the same.
    std::this_thread::sleep_for(std::chrono::milliseconds(ranks.is_root() ? 0 : 3000));
    report(failure, prefix);
    MpiCommunicator::abort(exit_code);
  }
  const std::uint64_t hash =
      XXH64(failure.message.data(), failure.message.size(), static_cast<std::uint64_t>(exit_code));
  if (ranks.all_end_by(hash)) {
    if (ranks.is_root()) report(failure);
    return exit_code;
  }
  report(failure, prefix);
  MpiCommunicator::abort(exit_code);
}

int run_rank(const Launch& launch, std::chrono::seconds timeout,
             const std::function<int(const Rank&)>& work) {
  try {
    MpiCommunicator ranks(timeout, [] { return stop_signal() != 0; });
    try {
      if (ranks.size() != launch.processes) {
        throw Error(Status::kUsage,
                    fmt::format("{} processes were started ({}), but MPI reports {}; expected "
                                "mpirun or srun of the MPI that l2o was built with",
                                launch.processes, launch.variable, ranks.size()));
      }
      return work({ranks, ranks.local_rank(), ranks.local_size()});
    } catch (...) {
      return end_by(current_failure(), ranks);
    }
  } catch (...) {
    const Failure failure = current_failure();
    report(failure);
    return static_cast<int>(failure.status);
  }
}

/// Returns the exit code for a rank that was killed by a signal.
int end_of_killed(const Launch& launch, int signal) {
  say(
      fmt::format("l2o: rank {} of {} was killed by signal {} ({}){}; train --resume continues "
                  "from the last checkpoint",
                  launch.rank, launch.processes, signal, ::strsignal(signal),
                  signal == SIGKILL ? ", possibly out of memory" : ""));
  return static_cast<int>(Status::kRankLost);
}

#endif

}  // namespace

void add_timeout_flag(CLI::App& verb, int& timeout) {
  add_integer_option(verb, "--timeout", timeout,
                     "with several ranks: how long they wait for one that sends nothing, before "
                     "all exit with 75",
                     "SECONDS", 1, 1'000'000);
}

int run_on_ranks(std::chrono::seconds timeout, const std::function<int(const Rank&)>& work) {
  const Launch launch = launch_of_environment();
  if (launch.processes == 1) return work({only_rank()});
#ifdef L2O_MPI
  return supervise([&] { return run_rank(launch, timeout, work); },
                   [&](int signal) { return end_of_killed(launch, signal); });
#else
  static_cast<void>(timeout);
  if (launch.rank > 0) return static_cast<int>(Status::kUsage);  // rank 0 reports the reason
  throw Error(Status::kUsage,
              fmt::format("{} processes were started ({}), but this l2o was built without MPI, so "
                          "they cannot share a run; expected one process, or a build with MPI "
                          "(docs/scale.md)",
                          launch.processes, launch.variable));
#endif
}

}  // namespace l2o::cli
