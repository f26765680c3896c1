// Whole files, written so that a reader never sees half of one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace l2o {

/// Replaces the file at `path` by `bytes`: temporary file beside it, fsync, rename, fsync of the
/// directory. Whatever stops it, `path` holds either the old file or the new one. Throws
/// kInputOutput naming the file and the system's reason, and leaves no temporary file behind. One
/// writer per path at a time.
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);

/// The bytes of a regular file. Throws kInputOutput where it cannot be read, kBadData where it is
/// longer than `max_bytes`; takes no more memory than the file is long.
std::vector<std::byte> read_file(const std::string& path, std::size_t max_bytes);

}  // namespace l2o
