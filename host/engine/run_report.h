// A diagnosis of a training run from its own records, for users whose problem does not train.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace l2o {

/// Losses and gradient norms are those of metrics.jsonl; its nulls are NaN.
struct RunReport {
  struct Member {
    std::string name;
    double first_loss = 0.0;                 ///< median over the first tenth of the episodes
    double last_loss = 0.0;                  ///< the same of the last tenth
    std::optional<double> gradient_norm;     ///< median; only in runs with member_clip_norm
    std::optional<std::int64_t> failures;    ///< meta-updates that excluded it; likewise
    std::int64_t first_non_finite_loss = 0;  ///< episode; 0: none
  };
  /// Movement of a tensor in the last evaluation: root mean square of theta_T - theta_0.
  struct Movement {
    std::string member, tensor;
    double distance = 0.0;
  };

  std::string directory;
  std::int64_t episodes = 0, planned = 0;
  double first_loss = 0.0;                 ///< median meta-loss of the first tenth of the episodes
  double last_loss = 0.0;                  ///< the same of the last tenth
  std::int64_t first_non_finite_loss = 0;  ///< first episode with such a meta-loss; 0: none
  double median_norm = 0.0, largest_norm = 0.0;  ///< norms of the meta-gradient, before clipping
  std::int64_t skipped = 0;                      ///< meta-updates
  double clip_norm = 0.0;                        ///< from the configuration
  std::vector<double> validations;
  std::int64_t best_episode = 0;  ///< 0: no evaluation so far
  double best_validation = 0.0;
  std::vector<Member> members;
  std::vector<Movement> movements;
  std::vector<std::string> advice;  ///< suggestions, one sentence each; empty if all looks normal
};

/// Throws kInputOutput if the directory cannot be read, and kBadData, naming the line, if its
/// metrics are malformed.
RunReport read_run_report(const std::string& run_directory);

std::string run_report_text(const RunReport& report);
std::string run_report_json(const RunReport& report);

}  // namespace l2o
