// A cache of the results of earlier runs, in a directory.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/comm/communicator.h"

namespace l2o {

/// Results of the runs of a rule on some tasks. A non-finite loss is NaN.
struct RunResult {
  std::vector<double> final_losses;  ///< [runs]
  std::vector<double> curve;         ///< thinned_curve() of the mean over the runs
};

/// Each entry is a small JSON file named by the checksum of its key; the key is a string that holds
/// everything that determines the result. An entry is either complete or absent: whatever stops the
/// process, only the runs in progress are lost.
///
/// Of several ranks only rank 0 uses the directory, so that all find the same entries.
class RunCache {
 public:
  /// Creates the directory; "" is a cache that keeps nothing. `notice` receives warnings for the
  /// user: an entry is damaged, or could not be written. Throws kInputOutput if the directory
  /// cannot be created or is not writable. Collective.
  RunCache(std::string directory, std::function<void(const std::string&)> notice,
           Communicator& ranks = only_rank());

  /// Returns the entry; none if it is absent or damaged. Collective.
  std::optional<RunResult> find(const std::string& key) const;
  /// Stores an entry. A failure to write it is only a notice.
  void store(const std::string& key, const RunResult& result);
  /// Path of the entry's file.
  std::string path_of(const std::string& key) const;

 private:
  std::string directory_;
  std::function<void(const std::string&)> notice_;
  Communicator& ranks_;
};

}  // namespace l2o
