// What a file is that is not what it should be.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace l2o {

/// What a file of learning-to-learn may be, of what follows.
inline constexpr char kPickleFile[] = "a Python pickle";
inline constexpr char kTextFile[] = "a text file";

/// "a zip archive, as PyTorch's .pt files are", "a git-lfs pointer, ...": what other kinds of files
/// begin with these bytes. Empty where none is known that does.
std::string describe_other_file(std::span<const std::byte> bytes);

}  // namespace l2o
