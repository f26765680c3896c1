// Looks for the files of a data set.
#pragma once

#include <string>
#include <vector>

namespace l2o {

/// A required file, with the details for error messages.
struct WantedFile {
  std::string set;                       ///< the data set's name in configurations
  std::vector<std::string> names;        ///< any of these, plain or .gz
  std::vector<std::string> directories;  ///< where to look, in this order
  std::string hint;                      ///< how to get it
};

/// Whether the path exists and is not a directory.
bool is_file(const std::string& path);
/// The path of the first file that exists; empty if none does.
std::string find_file(const WantedFile& wanted);
/// The same. Throws kInputOutput if none exists, listing the places searched and the files found
/// there instead.
std::string require_file(const WantedFile& wanted);

/// Throws kInputOutput for anything but a regular file, or a link to one.
void require_regular_file(const std::string& path);

/// The data directory and the given folders in it; none if no directory was given.
std::vector<std::string> below(const std::string& directory,
                               const std::vector<std::string>& folders);

}  // namespace l2o
