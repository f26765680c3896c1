// Whole files, written so that a reader never sees a partial one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace l2o {

/// Replaces the file at `path` with `bytes`: temporary file beside it, fsync, rename, fsync of the
/// directory. Even if interrupted, `path` holds either the old file or the new one. Several threads
/// and processes may write to one path: the last one to finish wins. The file keeps its mode, and a
/// symbolic link stays one: its target is replaced. Devices and pipes are written to directly.
///
/// Throws kInputOutput naming the file and the system's reason, and then leaves no temporary file
/// behind. A writer that is killed does leave one.
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);

/// Whether the name is that of a temporary file as above.
bool is_temporary_name(std::string_view name);

/// The path that write_file_atomically() replaces: `path` itself, or the end of its symbolic links,
/// which need not exist yet.
std::string follow_links(const std::string& path);

/// Returns the bytes of a file, or of a pipe or device up to its end. Throws kInputOutput if it
/// cannot be read, kBadData if it is longer than `max_bytes`; needs little more memory than its
/// size.
std::vector<std::byte> read_file(const std::string& path, std::size_t max_bytes);

}  // namespace l2o
