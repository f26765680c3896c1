// Whole files: read at once, and replaced so that a reader never sees a partial one.
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
/// Throws kInputOutput naming `path` and the system's reason, and then leaves no temporary file
/// behind. A writer that is killed does leave one. If only the fsync of the directory fails, `path`
/// already holds the new file.
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);

/// A random name for a temporary file as above.
std::string temporary_name();
/// Whether the name is one of these.
bool is_temporary_name(std::string_view name);

/// The path that write_file_atomically() replaces: `path` itself, or the end of its symbolic links,
/// which need not exist yet. Throws kInputOutput if there are more links than Linux follows, 40.
std::string follow_links(const std::string& path);

/// Returns the bytes of a file, or of a pipe or device up to its end. Throws kInputOutput if it
/// cannot be read, kBadData if it is longer than `max_bytes`. A regular file needs little more
/// memory than its size; where the system does not know the size in advance (pipes, devices, /proc)
/// up to three times as much.
std::vector<std::byte> read_file(const std::string& path, std::size_t max_bytes);

}  // namespace l2o
