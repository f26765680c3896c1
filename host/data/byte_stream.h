// A file read sequentially, decompressed on the fly if it is a .gz.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>

namespace l2o {

/// Errors name the file: kInputOutput if it cannot be read, kBadData if it is damaged.
class ByteStream {
 public:
  explicit ByteStream(const std::string& path);
  ~ByteStream() { gzclose_r(file_); }
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// Reads up to `size` bytes; fewer only at the end of the content. A .gz may consist of several
  /// streams, one after another; as with gzip, bytes after the last one are ignored.
  std::int64_t read(std::uint8_t* out, std::int64_t size);
  /// An upper bound on the bytes that the file can hold.
  std::int64_t capacity();
  [[noreturn]] void throw_bad(const std::string& cause) const;

 private:
  [[noreturn]] void throw_unreadable(const std::string& cause) const;
  void check() const;

  std::string path_;
  std::int64_t file_bytes_ = 0;
  gzFile file_ = nullptr;
};

}  // namespace l2o
