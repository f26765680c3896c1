// Results of runs that were made before, in a directory.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace l2o {

/// What runs of a rule on some tasks came to. A loss that is not finite is NaN.
struct RunResult {
  std::vector<double> final_losses;  ///< [runs]
  std::vector<double> curve;         ///< thinned_curve() of the mean over the runs
};

/// One small JSON file an entry, named by the checksum of its key; the key is a text that holds
/// everything which decides the result. An entry is whole or not there: whatever stops the process,
/// no more than the runs that it was in are lost.
class RunCache {
 public:
  /// Makes the directory; "" is a cache that keeps nothing. `notice` gets what a person should
  /// know: an entry that is damaged, or that could not be written. Throws kInputOutput where the
  /// directory cannot be made or written to.
  RunCache(std::string directory, std::function<void(const std::string&)> notice);

  /// The entry; none where there is none, or where it is damaged.
  std::optional<RunResult> find(const std::string& key) const;
  /// A failure costs the entry, not the work: it is a notice.
  void store(const std::string& key, const RunResult& result);
  /// Where the entry lies.
  std::string path_of(const std::string& key) const;

 private:
  std::string directory_;
  std::function<void(const std::string&)> notice_;
};

}  // namespace l2o
