#include "host/engine/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <map>
#include <span>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "host/core/atomic_file.h"
#include "host/core/error.h"

namespace l2o {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCheckpointPrefix = "checkpoint-";
constexpr std::string_view kCheckpointSuffix = ".bin";
constexpr std::size_t kCheckpointsKept = 2;
constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 24;

/// Maps "table.key" to its value in a resolved configuration, which has one key per line.
std::map<std::string, std::string> flatten(const std::string& resolved) {
  std::map<std::string, std::string> values;
  std::istringstream lines(resolved);
  std::string table;
  std::map<std::string, int> elements;  // number of elements of every array of tables so far
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();  // an editor's
    const std::size_t equals = line.find(" = ");
    if (line.starts_with("[[")) {
      const std::string name = line.substr(2, line.size() - 4);
      table = fmt::format("{}[{}].", name, elements[name]++);
    } else if (line.starts_with('[')) {
      table = line.substr(1, line.size() - 2) + ".";
    } else if (equals != std::string::npos) {
      values[table + line.substr(0, equals)] = line.substr(equals + 3);
    }
  }
  return values;
}

constexpr char kEpisodes[] = "train.episodes";

/// Hash of everything that a checkpoint depends on: not of the number of episodes, which may grow.
std::uint64_t hash_of(const std::string& resolved) {
  std::string text;
  for (const auto& [key, value] : flatten(resolved)) {
    if (key != kEpisodes) text += fmt::format("{} = {}\n", key, value);
  }
  return XXH64(text.data(), text.size(), 0);
}

void remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw system_error("remove", path, errno);
}

bool exists(const std::string& path) {
  std::error_code error;
  const bool found = fs::exists(path, error);
  if (error) throw Error(Status::kInputOutput, "cannot read " + path + ": " + error.message());
  return found;
}

std::string shown(const std::map<std::string, std::string>& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? "no " + key : key + " = " + found->second;
}

}  // namespace

RunDirectory::RunDirectory(const std::string& path, const std::string& resolved_config, Mode mode,
                           std::function<void(const std::string&)> notice)
    : path_(path),
      resolved_config_(resolved_config),
      mode_(mode),
      notice_(std::move(notice)),
      config_hash_(hash_of(resolved_config)) {
  if (continues() && !exists(file(kConfig))) {
    throw Error(Status::kUsage, path + " contains no run to resume (no config.toml)");
  }
  create_and_lock();
  if (continues()) check_config(resolved_config);
  if (mode == Mode::kNew && holds_run()) {
    throw Error(Status::kUsage,
                path + " already contains a run: --resume continues it, --overwrite replaces it");
  }
}

void RunDirectory::begin() {
  for (const std::string& name : file_names()) {
    if (is_temporary_name(name)) remove_file(file(name));
  }
  if (mode_ != Mode::kResume) {
    write_file_atomically(file(kConfig), std::as_bytes(std::span(resolved_config_)));
  }
  if (!continues()) remove_run();  // only once a file could be written
  open_metrics();
}

void RunDirectory::notify(const std::string& line) const {
  if (notice_) notice_(line);
}

void RunDirectory::create_and_lock() {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) {
    throw Error(Status::kInputOutput,
                "cannot create the directory " + path_ + ": " + error.message());
  }
  // The file remains; its lock is released with the process, however that ends.
  lock_ = FileDescriptor::open(file("lock"), O_RDWR | O_CREAT);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK) {
    throw Error(Status::kUsage, "another process is training in " + path_ +
                                    "; choose another directory or wait until it ends");
  }
  // Some network file systems have no locks; they only serve to keep other processes away.
  if (errno != ENOLCK && errno != ENOTSUP && errno != ENOSYS) {
    throw system_error("lock", file("lock"), errno);
  }
  notify(fmt::format("{} cannot be locked ({}): make sure that no other process trains in it",
                     path_, std::generic_category().message(errno)));
}

void RunDirectory::check_config(const std::string& resolved_config) const {
  const std::vector<std::byte> bytes = read_file(file(kConfig), kMaxConfigBytes);
  const auto earlier =
      flatten(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  const auto now = flatten(resolved_config);
  const auto refuse = [&](const std::string& key) {
    throw Error(Status::kUsage, fmt::format("{} was created with {}, but the current configuration "
                                            "has {}; --resume needs the same configuration",
                                            path_, shown(earlier, key), shown(now, key)));
  };
  for (const auto& [key, value] : earlier) {
    if (key == kEpisodes && mode_ == Mode::kExtend) {
      // Both are decimal numbers without leading zeros.
      const std::string& episodes = now.at(key);
      if (std::pair(episodes.size(), episodes) >= std::pair(value.size(), value)) continue;
      throw Error(Status::kUsage, fmt::format("{} is a run of {} episodes; expected at least as "
                                              "many to extend it, not {}",
                                              path_, value, episodes));
    }
    const auto found = now.find(key);
    if (found == now.end() || found->second != value) refuse(key);
  }
  for (const auto& [key, value] : now) {
    if (!earlier.contains(key)) refuse(key);
  }
}

bool RunDirectory::holds_run() const {
  for (const std::string& name : file_names()) {
    if (name == kConfig || name == "metrics.jsonl" || name == kBestModel || name == kFinalModel) {
      return true;
    }
  }
  return !checkpoints().empty();
}

void RunDirectory::remove_run() {
  for (const std::string& name : {final_model(), best_model(), file("metrics.jsonl")}) {
    remove_file(name);
  }
  for (const std::int64_t unrolls : checkpoints()) remove_file(checkpoint_file(unrolls));
}

void RunDirectory::open_metrics() {
  const std::string name = file("metrics.jsonl");
  metrics_ = FileDescriptor::open(name, O_RDWR | O_CREAT | O_APPEND);
  struct stat status = {};
  if (::fstat(metrics_.get(), &status) != 0) throw system_error("read", name, errno);
  metrics_bytes_ = static_cast<std::uint64_t>(status.st_size);
}

void RunDirectory::append_metrics(const std::string& line) {
  const std::string text = line + "\n";
  metrics_.write(std::as_bytes(std::span(text)));
  metrics_bytes_ += text.size();
}

void RunDirectory::truncate_metrics(std::uint64_t bytes) {
  const std::uint64_t end = end_of_line(std::min(bytes, metrics_bytes_));
  if (end != bytes) {
    notify(
        fmt::format("{} has changed since the run wrote it: of its {} bytes up to the training "
                    "checkpoint {} are kept; the run continues without the other lines",
                    file("metrics.jsonl"), bytes, end));
  }
  if (end == metrics_bytes_) return;
  if (::ftruncate(metrics_.get(), static_cast<off_t>(end)) != 0) {
    throw system_error("truncate", file("metrics.jsonl"), errno);
  }
  metrics_bytes_ = end;
}

std::uint64_t RunDirectory::end_of_line(std::uint64_t bytes) const {
  std::string block(std::size_t{1} << 16, '\0');
  while (bytes > 0) {
    const std::size_t size = std::min<std::uint64_t>(bytes, block.size());
    const std::uint64_t first = bytes - size;
    const ssize_t got = ::pread(metrics_.get(), block.data(), size, static_cast<off_t>(first));
    if (got < 0) throw system_error("read", file("metrics.jsonl"), errno);
    const std::size_t newline =
        std::string_view(block).substr(0, static_cast<std::size_t>(got)).rfind('\n');
    if (newline != std::string_view::npos) return first + newline + 1;
    bytes = first;
  }
  return 0;
}

void RunDirectory::save_checkpoint(TrainingCheckpoint checkpoint) {
  metrics_.sync();
  checkpoint.config_hash = config_hash_;
  checkpoint.metrics_bytes = metrics_bytes_;
  write_file_atomically(checkpoint_file(checkpoint.position.unrolls_done), serialize(checkpoint));

  const std::vector<std::int64_t> present = checkpoints();
  for (std::size_t i = 0; i + kCheckpointsKept < present.size(); ++i) {
    remove_file(checkpoint_file(present[i]));
  }
}

std::optional<TrainingCheckpoint> RunDirectory::load_checkpoint(std::size_t max_bytes) const {
  std::vector<std::int64_t> present = checkpoints();
  std::vector<Error> unusable;
  for (; !present.empty(); present.pop_back()) {
    const std::string name = checkpoint_file(present.back());
    try {
      TrainingCheckpoint checkpoint = parse_training_checkpoint(read_file(name, max_bytes), name);
      if (checkpoint.config_hash != config_hash_) {
        throw Error(Status::kBadData, name + " belongs to another configuration");
      }
      for (const Error& error : unusable) {
        notify(std::string(error.what()) + "; going back to " + name);
      }
      return checkpoint;
    } catch (const Error& error) {
      if (error.status() != Status::kBadData && error.status() != Status::kInputOutput) throw;
      unusable.push_back(error);
    }
  }
  if (!unusable.empty()) throw unusable.front();
  // Training from the start would replace the results of the run.
  if (exists(final_model())) {
    throw Error(Status::kBadData, path_ +
                                      " contains a finished run without its training checkpoints; "
                                      "--overwrite starts it from the beginning");
  }
  notify("no training checkpoint in " + path_ + ": starting from the beginning");
  return std::nullopt;
}

void RunDirectory::go_back_to(const TrainingCheckpoint& checkpoint) {
  truncate_metrics(checkpoint.metrics_bytes);
  for (const std::int64_t unrolls : checkpoints()) {
    if (unrolls > checkpoint.position.unrolls_done) remove_file(checkpoint_file(unrolls));
  }
}

std::string RunDirectory::checkpoint_file(std::int64_t unrolls_done) const {
  return file(fmt::format("{}{}{}", kCheckpointPrefix, unrolls_done, kCheckpointSuffix));
}

std::vector<std::int64_t> RunDirectory::checkpoints() const {
  std::vector<std::int64_t> found;
  for (const std::string& name : file_names()) {
    if (!name.starts_with(kCheckpointPrefix) || !name.ends_with(kCheckpointSuffix)) continue;
    const char* begin = name.data() + kCheckpointPrefix.size();
    const char* end = name.data() + name.size() - kCheckpointSuffix.size();
    std::int64_t unrolls = 0;
    const auto [stop, failed] = std::from_chars(begin, end, unrolls);
    if (failed == std::errc() && stop == end) found.push_back(unrolls);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> RunDirectory::file_names() const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(path_, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  if (error) {
    throw Error(Status::kInputOutput,
                "cannot read the directory " + path_ + ": " + error.message());
  }
  return names;
}

}  // namespace l2o
