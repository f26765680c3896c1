// Finds the name that a user probably meant to type.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace l2o {

/// `text` with its ASCII letters in lower case.
std::string lower_case(std::string text);

/// The smallest number of edits (insertion, deletion, replacement, or swap of two adjacent bytes)
/// that turns `a` into `b`: the restricted Damerau-Levenshtein distance.
int edit_distance(std::string_view a, std::string_view b);

/// The candidate with the fewest edits, the first one if tied; empty if there are no candidates.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace l2o
