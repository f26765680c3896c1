// Runs a fuzz target over the files of its corpus: it must accept those named valid_* and reject
// all others with an l2o::Error. Usage: <target>_fuzz CORPUS
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "host/core/atomic_file.h"
#include "host/core/error.h"
#include "tests/fuzz/target.h"

namespace {

/// Returns whether the target accepted or rejected the file as its name requires.
bool replay(const std::filesystem::path& path) {
  constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
  const std::vector<std::byte> bytes = l2o::read_file(path.string(), kMaxBytes);
  const bool valid = path.filename().string().starts_with("valid_");
  std::string refusal;
  try {
    l2o::read_input(bytes);
  } catch (const l2o::Error& error) {
    refusal = error.what();
  } catch (const std::exception& exception) {
    std::printf("%s: not an l2o::Error: %s\n", path.c_str(), exception.what());
    return false;
  }
  std::printf("%s: %s\n", path.c_str(), refusal.empty() ? "accepted" : refusal.c_str());
  return refusal.empty() == valid;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: %s CORPUS\n", arguments[0]);
    return 2;
  }
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(arguments[1])) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  const auto failed =
      std::count_if(paths.begin(), paths.end(), [](const auto& path) { return !replay(path); });
  std::printf("%zu files, %td unexpected results\n", paths.size(), failed);
  return failed == 0 && !paths.empty() ? 0 : 1;
}
