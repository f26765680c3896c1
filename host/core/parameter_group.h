// Groups of parameters, by the names of their tensors. Each has its own update rule.
#pragma once

#include <string>
#include <vector>

namespace l2o {

/// The tensors whose name matches one of the patterns, which are shell patterns: * ? [...]. The
/// pattern "*" by itself matches what no other group matches: the order of groups does not matter,
/// like that of tables in TOML.
struct ParameterGroup {
  std::string name;  ///< empty if there is only one
  std::vector<std::string> patterns = {"*"};

  bool operator==(const ParameterGroup&) const = default;
};

/// The group of all parameters, used if no groups were given.
inline std::vector<ParameterGroup> one_parameter_group() { return {ParameterGroup{}}; }

/// The index of the group that a tensor of that name belongs to. Throws kUsage if none or several
/// match it.
int group_of(const std::vector<ParameterGroup>& groups, const std::string& tensor_name);

}  // namespace l2o
