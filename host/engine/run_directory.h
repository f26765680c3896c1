// The directory of one training run:
//
//   config.toml              the resolved configuration
//   metrics.jsonl            one JSON object per line: episodes and evaluations
//   checkpoint-<unrolls>.bin training checkpoints, the two newest
//   best.safetensors         the model with the lowest validation loss
//   final.safetensors        the model at the end of the run
//   lock                     held by the process that writes here
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/core/file_descriptor.h"
#include "host/engine/training_checkpoint.h"

namespace l2o {

class RunDirectory {
 public:
  static constexpr char kConfig[] = "config.toml";
  static constexpr char kBestModel[] = "best.safetensors";
  static constexpr char kFinalModel[] = "final.safetensors";

  enum class Mode : int {
    kNew,        ///< the directory must not contain a run
    kResume,     ///< it must contain a run with the same configuration
    kExtend,     ///< as kResume, but train.episodes may be fewer; it is set to the new number
    kOverwrite,  ///< an existing run is removed
  };

  /// Creates the directory if needed, locks it and leaves everything else as it is, so that a run
  /// that fails before begin() destroys nothing. Throws kUsage if another process holds the lock or
  /// the mode does not fit the contents, kInputOutput if a system call fails. `notice` receives
  /// warnings, one line each.
  RunDirectory(const std::string& path, const std::string& resolved_config, Mode mode,
               std::function<void(const std::string&)> notice = {});

  /// Starts the run: removes an earlier one (kNew, kOverwrite) and the temporary files of killed
  /// writers, writes the configuration (except with kResume) and opens the metrics. Must be called
  /// before everything below that writes.
  void begin();

  const std::string& path() const { return path_; }
  std::string best_model() const { return file(kBestModel); }
  std::string final_model() const { return file(kFinalModel); }

  /// Appends one line (without its newline) to the metrics.
  void append_metrics(const std::string& line);

  /// Syncs the metrics to disk, then the checkpoint, then removes all but the two newest. Fills in
  /// config_hash and metrics_bytes.
  void save_checkpoint(TrainingCheckpoint checkpoint);
  bool has_checkpoint() const { return !checkpoints().empty(); }
  /// Returns the newest checkpoint that can be read and is intact; newer ones that are not, or the
  /// absence of any, are reported as notices. Throws the newest one's error if none is intact,
  /// kBadData if a finished run has none.
  std::optional<TrainingCheckpoint> load_checkpoint(std::size_t max_bytes) const;
  /// Truncates the metrics and removes newer checkpoints, which would be mistaken for this run's.
  /// Metrics that do not match the checkpoint are only a notice, since the run does not need them.
  void go_back_to(const TrainingCheckpoint& checkpoint);

 private:
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  void notify(const std::string& line) const;
  void create_and_lock();
  bool continues() const { return mode_ == Mode::kResume || mode_ == Mode::kExtend; }
  void check_config(const std::string& resolved_config) const;
  bool holds_run() const;
  void remove_run();
  void open_metrics();
  void truncate_metrics(std::uint64_t bytes);
  /// The end of the last line that ends within the first `bytes` bytes of the metrics.
  std::uint64_t end_of_line(std::uint64_t bytes) const;
  std::string checkpoint_file(std::int64_t unrolls_done) const;
  std::vector<std::string> file_names() const;
  /// The unrolls_done of all checkpoints, ascending.
  std::vector<std::int64_t> checkpoints() const;

  std::string path_;
  std::string resolved_config_;
  Mode mode_;
  std::function<void(const std::string&)> notice_;
  std::uint64_t config_hash_ = 0;
  FileDescriptor lock_;
  FileDescriptor metrics_;
  std::uint64_t metrics_bytes_ = 0;
};

}  // namespace l2o
