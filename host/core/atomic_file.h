// Whole files, written so that a reader never sees half of one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace l2o {

/// Replaces the file at `path` by `bytes`: temporary file beside it, fsync, rename, fsync of the
/// directory. Whatever stops it, `path` holds either the old file or the new one. Several threads
/// and processes may write to one path: the last one to finish wins. The file keeps its mode, and a
/// symbolic link stays one: the file that it names is replaced. Devices and pipes are written to.
///
/// Throws kInputOutput naming the file and the system's reason, and then leaves no temporary file
/// behind. A writer that is killed does.
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);

/// Whether a file is called as the temporary files above are.
bool is_temporary_name(std::string_view name);

/// The path of what write_file_atomically() replaces: `path` itself, or the end of its symbolic
/// links, where nothing need be yet.
std::string follow_links(const std::string& path);

/// The bytes of a file, or of a pipe or device up to its end. Throws kInputOutput where it cannot
/// be read, kBadData where it is longer than `max_bytes`; takes little more memory than it is long.
std::vector<std::byte> read_file(const std::string& path, std::size_t max_bytes);

}  // namespace l2o
