#include "host/data/find_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "host/core/error.h"

namespace l2o {
namespace {

namespace fs = std::filesystem;

/// Names in the directories, at most as many as fit on a line.
std::vector<std::string> names_in(const std::vector<std::string>& directories) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> found;
  for (const std::string& directory : directories) {
    std::error_code error;
    for (fs::directory_iterator at(directory, error), end; !error && at != end;
         at.increment(error)) {
      std::error_code ignored;
      const bool is_directory = at->is_directory(ignored);
      found.push_back(at->path().filename().string() + (is_directory ? "/" : ""));
    }
  }
  std::sort(found.begin(), found.end());
  if (found.size() > kMost) {
    const std::size_t more = found.size() - kMost;
    found.resize(kMost);
    found.push_back(fmt::format("and {} more", more));
  }
  return found;
}

}  // namespace

std::vector<std::string> below(const std::string& directory,
                               const std::vector<std::string>& folders) {
  if (directory.empty()) return {};
  std::vector<std::string> directories = {directory};
  for (const std::string& folder : folders) {
    directories.push_back((std::filesystem::path(directory) / folder).string());
  }
  return directories;
}

bool is_file(const std::string& path) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  return fs::exists(status) && !fs::is_directory(status);
}

std::string find_file(const WantedFile& wanted) {
  for (const std::string& directory : wanted.directories) {
    for (const std::string& name : wanted.names) {
      for (const char* suffix : {"", ".gz"}) {
        std::string path = fmt::format("{}/{}{}", directory, name, suffix);
        if (is_file(path)) return path;
      }
    }
  }
  return "";
}

void require_regular_file(const std::string& path) {
  std::error_code failure;
  const fs::file_status status = fs::status(path, failure);
  if (!failure && fs::is_regular_file(status)) return;
  throw Error(
      Status::kInputOutput,
      fmt::format("cannot read {}: {}", path, failure ? failure.message() : "not a regular file"));
}

std::string require_file(const WantedFile& wanted) {
  std::string path = find_file(wanted);
  if (!path.empty()) return path;
  std::string looked = "no data directory was given";
  std::string there;
  if (!wanted.directories.empty()) {
    looked = fmt::format("it is neither in {}", fmt::join(wanted.directories, " nor in "));
    const std::vector<std::string> found = names_in(wanted.directories);
    there = found.empty() ? "; nothing was found there"
                          : fmt::format("; found there: {}", fmt::join(found, ", "));
  }
  throw Error(Status::kInputOutput,
              fmt::format("data = \"{}\": {}[.gz] is missing: {}{}. {} and pass its directory with "
                          "--data DIR or L2O_DATA_DIR",
                          wanted.set, fmt::join(wanted.names, " or "), looked, there, wanted.hint));
}

}  // namespace l2o
