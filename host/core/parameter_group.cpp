#include "host/core/parameter_group.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>

#include "host/core/error.h"

namespace l2o {
namespace {

constexpr char kRest[] = "*";

/// Groups that match the tensor by the pattern for the rest, or by any other pattern.
std::vector<int> takers(const std::vector<ParameterGroup>& groups, const std::string& tensor_name,
                        bool rest) {
  std::vector<int> found;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const std::vector<std::string>& patterns = groups[g].patterns;
    const bool takes =
        std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
          return (pattern == kRest) == rest &&
                 fnmatch(pattern.c_str(), tensor_name.c_str(), 0) == 0;
        });
    if (takes) found.push_back(static_cast<int>(g));
  }
  return found;
}

}  // namespace

int group_of(const std::vector<ParameterGroup>& groups, const std::string& tensor_name) {
  std::vector<int> found = takers(groups, tensor_name, false);
  if (found.empty()) found = takers(groups, tensor_name, true);
  if (found.size() == 1) return found.front();
  std::vector<std::string> names;
  names.reserve(found.size());
  for (const int group : found) names.push_back(groups[static_cast<std::size_t>(group)].name);
  throw Error(
      Status::kUsage,
      found.empty()
          ? fmt::format("no rule matches the parameter {}; add a rule with parameters = [\"*\"] "
                        "for the rest",
                        tensor_name)
          : fmt::format("the rules {} all match the parameter {}; expected the patterns of exactly "
                        "one rule to match",
                        fmt::join(names, ", "), tensor_name));
}

}  // namespace l2o
