// Groups of parameters, by the names of their tensors. Each has an update rule of its own.
#pragma once

#include <string>
#include <vector>

namespace l2o {

/// The tensors whose name fits one of the patterns, which are those of a shell: * ? [...]. The
/// pattern
/// "*" alone takes what no other group takes: the order of groups does not matter, as that of
/// tables in TOML does not.
struct ParameterGroup {
  std::string name;  ///< empty where there is but one
  std::vector<std::string> patterns = {"*"};

  bool operator==(const ParameterGroup&) const = default;
};

/// The group of all parameters, where nothing was said about groups.
inline std::vector<ParameterGroup> one_parameter_group() { return {ParameterGroup{}}; }

/// Which group a tensor of that name belongs to. Throws kUsage where none or several take it.
int group_of(const std::vector<ParameterGroup>& groups, const std::string& tensor_name);

}  // namespace l2o
