// Training by several processes under mpirun, including failures.
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/files.h"
#include "tests/support/small_mnist.h"

namespace l2o {
namespace {

namespace fs = std::filesystem;

using Arguments = std::vector<std::string>;

/// 12 tasks in 12 shards; a checkpoint after every second unroll.
std::string shared_config() {
  std::string config = kSmallConfig;
  config.insert(config.find("[train]\n") + 8, "tasks = 12\nshards = 12\ncheckpoint_every = 2\n");
  return config;
}

#ifdef L2O_MPIEXEC

/// For more ranks than cores, each with one thread, possibly as root in a container.
ProcessOptions for_tests() {
  ProcessOptions options;
  options.environment = {{"OMPI_MCA_rmaps_base_oversubscribe", "1"},
                         {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"}};
  if (geteuid() == 0) {
    options.environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
    options.environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
  }
  return options;
}

/// Part of an mpirun command line: `count` ranks of this command.
Arguments ranks(int count, const Arguments& command) {
  Arguments arguments = {"-n", std::to_string(count)};
  arguments.insert(arguments.end(), command.begin(), command.end());
  return arguments;
}

Arguments train(const std::string& config, const std::string& out, const Arguments& more = {}) {
  Arguments command = {L2O_PROGRAM, "train", config, "--out", out, "--threads", "1"};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

Arguments mpirun(const std::vector<Arguments>& parts) {
  Arguments command = {L2O_MPIEXEC};
  for (const Arguments& part : parts) {
    if (command.size() > 1) command.emplace_back(":");
    command.insert(command.end(), part.begin(), part.end());
  }
  return command;
}

ProcessResult run(const std::vector<Arguments>& parts) {
  return run_process(mpirun(parts), for_tests());
}

bool says(const ProcessResult& result, const std::string& text) {
  return result.err.find(text) != std::string::npos;
}

int lines_with(const ProcessResult& result, const std::string& text) {
  int count = 0;
  for (std::size_t at = 0; (at = result.err.find(text, at)) != std::string::npos; ++at) ++count;
  return count;
}

std::set<std::string> files_of(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

void expect_same_run(const std::string& directory, const std::string& expected) {
  EXPECT_EQ(files_of(directory), files_of(expected));
  for (const std::string& name : files_of(expected)) {
    EXPECT_EQ(test::contents(fs::path(directory) / name), test::contents(fs::path(expected) / name))
        << name;
  }
}

/// The worker processes: children of an l2o process that is a descendant of `ancestor`.
std::vector<pid_t> workers_of(pid_t ancestor) {
  std::map<pid_t, pid_t> parents;
  std::set<pid_t> programs;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const pid_t pid = std::stoi(name);
    std::ifstream file(entry.path() / "stat");
    std::string stat((std::istreambuf_iterator<char>(file)), {});
    if (stat.empty()) continue;
    char state = 0;
    int parent = 0;
    std::sscanf(stat.c_str() + stat.rfind(')') + 1, " %c %d", &state, &parent);
    parents[pid] = parent;
    if (state != 'Z' && stat.find("(l2o)") != std::string::npos) programs.insert(pid);
  }
  std::vector<pid_t> workers;
  for (const pid_t pid : programs) {
    if (!programs.contains(parents[pid])) continue;
    for (pid_t at = pid; at > 1; at = parents[at]) {
      if (at == ancestor) workers.push_back(pid);
    }
  }
  return workers;
}

/// Waits until a run has `count` workers, with a run directory `out` until it is training, and
/// returns them.
std::vector<pid_t> wait_for_workers(const Process& process, std::size_t count,
                                    const std::string& out = "") {
  for (int i = 0; i < 6000; ++i) {
    std::vector<pid_t> workers = workers_of(process.pid());
    const bool is_training = out.empty() || fs::exists(out + "/metrics.jsonl");
    if (workers.size() == count && is_training) return workers;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ADD_FAILURE() << "the ranks did not start";
  return {};
}

class Mpi : public testing::Test {
 protected:
  std::string config(const std::string& name, const std::string& text = shared_config()) {
    return root_.write(name, text);
  }
  std::string out(const std::string& name) { return root_.file(name); }

  TemporaryDirectory root_;
};

TEST_F(Mpi, AnyNumberOfRanksProducesTheSameFiles) {
  const std::string file = config("a.toml");
  ASSERT_EQ(run_process(train(file, out("1"))).exit_code, 0);
  for (const int count : {2, 3, 4, 6, 12}) {
    SCOPED_TRACE(count);
    const std::string directory = out(std::to_string(count));
    const ProcessResult result = run({ranks(count, train(file, directory))});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(lines_with(result, "episodes, seed"), 1) << result.err;  // only rank 0 prints
    expect_same_run(directory, out("1"));
  }
}

TEST_F(Mpi, EightRanksProduceTheSameFiles) {
  const Arguments more = {"--set", "train.tasks=16", "--set", "train.shards=16"};
  const std::string file = config("a.toml");
  ASSERT_EQ(run_process(train(file, out("1"), more)).exit_code, 0);
  const ProcessResult result = run({ranks(8, train(file, out("8"), more))});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_same_run(out("8"), out("1"));
}

// Long enough to be interrupted, leaving some of its episodes for the resumed run.
const Arguments kLong = {"--set", "train.episodes=400", "--set", "evaluation.every=200"};

const Arguments kEndless = {"--set", "train.episodes=1000000", "--set", "evaluation.every=500000"};

TEST_F(Mpi, ASignalStopsAllRanksAndFewerRanksResume) {
  const std::string file = config("a.toml");
  ASSERT_EQ(run_process(train(file, out("1"), kLong)).exit_code, 0);
  Process process(mpirun({ranks(4, train(file, out("4"), kLong))}), for_tests());
  wait_for_workers(process, 4, out("4"));
  process.send(SIGUSR1);  // forwarded by mpirun
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, 143) << result.err;
  EXPECT_TRUE(says(result, "l2o: stopped by SIGTERM after")) << result.err;

  Arguments more = kLong;
  more.emplace_back("--resume");
  const ProcessResult resumed = run({ranks(3, train(file, out("4"), more))});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  expect_same_run(out("4"), out("1"));
}

TEST_F(Mpi, ASignalDuringStartupStops) {
  const std::string file = config("a.toml");
  Process process(mpirun({ranks(2, train(file, out("2"), kEndless))}), for_tests());
  const std::vector<pid_t> workers = wait_for_workers(process, 2);
  ASSERT_EQ(workers.size(), 2U);
  kill(workers.front(), SIGUSR1);  // as the worker's supervisor forwards it
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, 143) << result.err;
  EXPECT_TRUE(says(result, "l2o: stopped by SIGTERM")) << result.err;
}

TEST_F(Mpi, AKilledRankIsNamedAndTheRunResumes) {
  const std::string file = config("a.toml");
  ASSERT_EQ(run_process(train(file, out("1"), kLong)).exit_code, 0);
  std::mt19937 random(7);
  Arguments more = kLong;
  for (int kill_number = 0; kill_number < 5; ++kill_number) {
    SCOPED_TRACE(kill_number);
    Process process(mpirun({ranks(3, train(file, out("3"), more))}), for_tests());
    const std::vector<pid_t> workers = wait_for_workers(process, 3, out("3"));
    ASSERT_EQ(workers.size(), 3U);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
    const bool was_running = kill(workers[random() % 3], SIGKILL) == 0;
    const ProcessResult result = process.finish();
    if (result.exit_code == 0) {
      EXPECT_FALSE(was_running) << result.err;
      break;
    }
    EXPECT_EQ(result.exit_code, 75) << result.err;
    EXPECT_TRUE(says(result, " of 3 was killed by signal 9")) << result.err;
    if (kill_number == 0) more.emplace_back("--resume");
  }
  const ProcessResult last = run({ranks(2, train(file, out("3"), more))});
  EXPECT_EQ(last.exit_code, 0) << last.err;
  expect_same_run(out("3"), out("1"));
}

TEST_F(Mpi, AHangingRankIsNamed) {
  const std::string file = config("a.toml");
  Arguments more = kEndless;
  more.insert(more.end(), {"--timeout", "10"});
  Process process(mpirun({ranks(3, train(file, out("3"), more))}), for_tests());
  const std::vector<pid_t> workers = wait_for_workers(process, 3, out("3"));
  ASSERT_EQ(workers.size(), 3U);
  kill(workers[1], SIGSTOP);
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, 75) << result.err;
  // A second rank may wait for the first one, and so send nothing either.
  EXPECT_TRUE(says(result, "of 3 has sent nothing for 10 s") ||
              says(result, "of 3 have sent nothing for 10 s"))
      << result.err;
}

TEST_F(Mpi, AHangingRankDoesNotKeepASignalFromTheOthers) {
  const std::string file = config("a.toml");
  Process process(mpirun({ranks(3, train(file, out("3"), kEndless))}), for_tests());
  const std::vector<pid_t> workers = wait_for_workers(process, 3, out("3"));
  ASSERT_EQ(workers.size(), 3U);
  kill(workers[1], SIGSTOP);
  process.send(SIGUSR1);
  const ProcessResult result = process.finish();  // long before the timeout
  EXPECT_EQ(result.exit_code, 75) << result.err;
  EXPECT_TRUE(says(result, "gone or hung, after a signal to stop")) << result.err;
}

TEST_F(Mpi, ACommonErrorIsPrintedOnce) {
  const std::string file = config("a.toml");
  const ProcessResult result = run({ranks(5, train(file, out("5")))});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(lines_with(result,
                       "l2o: 5 ranks cannot share train.shards = 12 equally; expected one "
                       "of 1, 2, 3, 4, 6, 12\n"),
            1)
      << result.err;
  EXPECT_FALSE(fs::exists(out("5")));
}

TEST_F(Mpi, AnErrorOfOneRankEndsAllAndNamesTheRank) {
  const std::string file = config("a.toml"), missing = root_.file("missing.toml");
  const ProcessResult result =
      run({ranks(1, train(file, out("2"))), ranks(1, train(missing, out("2")))});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_TRUE(says(result, "l2o: rank 1 of 2: ")) << result.err;
  EXPECT_TRUE(says(result, "missing.toml")) << result.err;
}

TEST_F(Mpi, RanksWithAnotherConfigurationAreNamed) {
  const std::string file = config("a.toml");
  const ProcessResult result =
      run({ranks(1, train(file, out("3"))), ranks(2, train(file, out("3"), {"--seed", "9"}))});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(lines_with(result,
                       "l2o: the ranks of a run differ in the configuration: ranks 1, 2 from "
                       "rank 0; expected the same at all 3 ranks"),
            1)
      << result.err;
  EXPECT_FALSE(fs::exists(out("3") + "/config.toml"));
}

TEST_F(Mpi, RanksWithAnotherProgramAreNamed) {
  const std::string file = config("a.toml"), other = root_.file("l2o");
  fs::copy_file(L2O_PROGRAM, other);
  std::ofstream(other, std::ios::app) << "!";  // appended after the executable code
  Arguments command = train(file, out("2"));
  command.front() = other;
  const ProcessResult result = run({ranks(1, train(file, out("2"))), ranks(1, command)});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(says(result, "differ in their program: rank 1 from rank 0")) << result.err;
}

TEST_F(Mpi, RanksWithOtherDataAreNamed) {
  const SmallMnist data;
  const TemporaryDirectory other;
  fs::copy(data.path(), other.path());
  std::fstream(other.file("train-labels-idx1-ubyte"), std::ios::in | std::ios::out | std::ios::ate)
      .seekp(-1, std::ios::end)
      .put(static_cast<char>((data.train_labels.back() + 1) % SmallMnist::kClasses));
  const std::string file =
      config("a.toml",
             "[task]\nname = \"mnist\"\nbatch_size = 4\nlayers = [3]\n"
             "[optimizer]\nlayers = 1\nhidden = 4\n"
             "[train]\nepisodes = 2\nsteps = 4\nunroll_length = 2\ntasks = 2\nshards = 2\n"
             "[evaluation]\nruns = 1\nsteps = 2\n");
  const auto with = [&](const std::string& directory) {
    return train(file, out("2"), {"--data", directory});
  };
  const ProcessResult result = run({ranks(1, with(data.path())), ranks(1, with(other.path()))});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(says(result, "differ in the data sets: rank 1 from rank 0")) << result.err;
}

TEST_F(Mpi, EvaluationsPrintTheSameReport) {
  const std::string model = write_model(root_);
  const std::string suite =
      config("suite.toml",
             "steps = [5, 10]\nruns = 3\ntuning_runs = 2\nbaselines = [\"sgd\"]\n"
             "baseline_schedules = [\"constant\"]\n"
             "[[task]]\nname = \"quadratic\"\nfunctions = 2\ndimension = 3\n");
  const Arguments of_task = {
      L2O_PROGRAM, "eval",        model, "--task",        "simple", "--steps",
      "4",         "--runs",      "5",   "--json",        "-",      "--threads",
      "1",         "--baselines", "sgd", "--tuning-runs", "2"};
  const Arguments of_suite = {L2O_PROGRAM, "eval", model,       "--suite", suite,
                              "--json",    "-",    "--threads", "1"};
  for (const Arguments& command : {of_task, of_suite}) {
    const ProcessResult alone = run_process(command);
    ASSERT_EQ(alone.exit_code, 0) << alone.err;
    const ProcessResult shared = run({ranks(3, command)});
    EXPECT_EQ(shared.exit_code, 0) << shared.err;
    EXPECT_EQ(shared.out, alone.out);
  }
  Arguments longer = of_task;
  longer[6] = "5";
  const ProcessResult result = run({ranks(1, of_task), ranks(1, longer)});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(says(result, "differ in the model or the options of a run: rank 1 from rank 0"))
      << result.err;
}

TEST_F(Mpi, AnErrorOfRankZeroOnlyIsPrintedOnce) {
  const std::string file = config("a.toml");
  ASSERT_EQ(run({ranks(2, train(file, out("2")))}).exit_code, 0);
  const ProcessResult result = run({ranks(2, train(file, out("2")))});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(lines_with(result, "already contains a run"), 1) << result.err;
}

#else

TEST(Mpi, IsNotPartOfThisBuild) { GTEST_SKIP() << "tests with several ranks need MPI"; }

#endif

// A build without MPI, or the launcher of another MPI, must never start several runs in one
// directory.
TEST(Launch, ProcessesThatCannotCommunicateAreRejected) {
  const TemporaryDirectory root;
  std::ofstream(root.file("a.toml")) << shared_config();
  for (const std::string variable :
       {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    ProcessOptions options;
    options.environment = {{variable, "4"}};
    const ProcessResult result =
        l2o_with({"train", root.file("a.toml"), "--out", root.file("out")}, options);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find("l2o: "), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("4 processes were started (" + variable + ")"), std::string::npos)
        << result.err;
    EXPECT_FALSE(fs::exists(root.file("out")));
  }
}

// SLURM_NTASKS is also set in a Slurm batch script that starts a single process.
TEST(Launch, TheTasksOfABatchJobAreNotProcesses) {
  const TemporaryDirectory root;
  std::ofstream(root.file("a.toml")) << shared_config();
  ProcessOptions options;
  options.environment = {{"SLURM_NTASKS", "4"}};
  EXPECT_EQ(l2o_with({"train", root.file("a.toml"), "--out", root.file("out")}, options).exit_code,
            0);
}

}  // namespace
}  // namespace l2o
