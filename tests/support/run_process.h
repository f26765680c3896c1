// Runs a program and captures its output and exit status.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace l2o {

struct ProcessResult {
  int exit_code = -1;  ///< -1: terminated by a signal
  int signal = 0;
  std::string out;              ///< stdout
  std::string err;              ///< stderr
  std::size_t peak_memory = 0;  ///< resident bytes
};

struct ProcessOptions {
  std::map<std::string, std::string> environment = {};  ///< added to the test's own
  std::string stdout_file = {};                         ///< receives stdout instead of `out`
  std::vector<int> closed = {};                         ///< descriptors that are closed at start
  rlim_t file_size_limit = RLIM_INFINITY;               ///< bytes per file (ulimit -f)
};

/// A running child; finish() must be called.
class Process {
 public:
  explicit Process(const std::vector<std::string>& command, const ProcessOptions& options = {}) {
    std::array<int, 2> out{};
    std::array<int, 2> err{};
    if (pipe2(out.data(), O_CLOEXEC) != 0 || pipe2(err.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("pipe failed");
    }
    std::vector<char*> arguments;
    for (const std::string& argument : command) {
      arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ == 0) {
      for (const auto& [name, value] : options.environment) {
        setenv(name.c_str(), value.c_str(), 1);
      }
      int to = out[1];
      if (!options.stdout_file.empty())
        to = open(options.stdout_file.c_str(), O_WRONLY | O_CLOEXEC);
      dup2(to, STDOUT_FILENO);
      dup2(err[1], STDERR_FILENO);
      for (const int descriptor : options.closed) close(descriptor);
      const rlimit limit = {options.file_size_limit, options.file_size_limit};
      if (options.file_size_limit != RLIM_INFINITY) setrlimit(RLIMIT_FSIZE, &limit);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(out[1]);
    close(err[1]);
    pipes_ = {out[0], err[0]};
  }

  pid_t pid() const { return pid_; }
  /// Whether the child has not exited yet; finish() still returns its result.
  bool is_running() const {
    siginfo_t info = {};  // si_pid stays 0 if there is nothing to report
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
  }
  void send(int signal) const { kill(pid_, signal); }

  /// Closes our end of the child's stdout, like a reader that goes away.
  void close_stdout() {
    close(pipes_[0]);
    pipes_[0] = -1;
  }

  /// Waits until stderr contains `text`; returns false if the child exits without it.
  bool wait_for_stderr(const std::string& text) {
    while (result_.err.find(text) == std::string::npos) {
      if (!read_some()) return false;
    }
    return true;
  }

  /// Reads to the end of both pipes and waits for the child.
  ProcessResult finish() {
    while (read_some()) {
    }
    int status = 0;
    rusage usage = {};
    wait4(pid_, &status, 0, &usage);
    result_.peak_memory = static_cast<std::size_t>(usage.ru_maxrss) * 1024;
    if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
    return std::move(result_);
  }

 private:
  /// Reads what is available; returns false when both pipes are at end of file.
  bool read_some() {
    std::array<pollfd, 2> wanted = {pollfd{pipes_[0], POLLIN, 0}, pollfd{pipes_[1], POLLIN, 0}};
    if (pipes_[0] < 0 && pipes_[1] < 0) return false;
    poll(wanted.data(), wanted.size(), -1);
    for (std::size_t i = 0; i < 2; ++i) {
      if (pipes_[i] < 0 || wanted[i].revents == 0) continue;
      std::array<char, 4096> bytes{};
      const ssize_t count = read(pipes_[i], bytes.data(), bytes.size());
      if (count > 0) {
        (i == 0 ? result_.out : result_.err).append(bytes.data(), static_cast<std::size_t>(count));
      } else {
        close(pipes_[i]);
        pipes_[i] = -1;
      }
    }
    return true;
  }

  pid_t pid_ = -1;
  std::array<int, 2> pipes_ = {-1, -1};  // the child's stdout and stderr
  ProcessResult result_;
};

/// Runs the program to completion; the first word of `command` is its path.
inline ProcessResult run_process(const std::vector<std::string>& command,
                                 const ProcessOptions& options = {}) {
  return Process(command, options).finish();
}

}  // namespace l2o
