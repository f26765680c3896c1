// Looks for the files of a data set.
#pragma once

#include <string>
#include <vector>

namespace l2o {

/// What is wanted, for complaints.
struct WantedFile {
  std::string set;                       ///< the data set, as configurations call it
  std::vector<std::string> names;        ///< any of these, plain or .gz
  std::vector<std::string> directories;  ///< where to look, in this order
  std::string hint;                      ///< how to get it
};

/// The path of the first that is there; empty where none is.
std::string find_file(const WantedFile& wanted);
/// The same. Throws kInputOutput where none is there, naming the places, and what was found there
/// instead.
std::string require_file(const WantedFile& wanted);

/// The data directory and those below it; none where the directory is not named.
std::vector<std::string> below(const std::string& directory,
                               const std::vector<std::string>& folders);

}  // namespace l2o
