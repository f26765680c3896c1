// Recognizes a file that is not of the expected kind.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace l2o {

/// The two results of describe_other_file() that may be files of learning-to-learn.
inline constexpr char kPickleFile[] = "a Python pickle";
inline constexpr char kTextFile[] = "a text file";

/// "a zip archive, as PyTorch's .pt files are", "a git-lfs pointer, ...": the other kind of file
/// that begins with these bytes. Empty if it is unknown.
std::string describe_other_file(std::span<const std::byte> bytes);

}  // namespace l2o
