#include "host/data/idx.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <system_error>

#include "host/core/error.h"

namespace l2o {
namespace {

/// No compressed byte of deflate stands for more than 1032 (RFC 1951: a match of 258 bytes takes at
/// least 2 bits), so a header that claims more than that is refused before anything is read.
constexpr std::int64_t kMaxExpansion = 1032;

/// Bytes of a file, decompressed on the way if it is a .gz.
class ByteStream {
 public:
  explicit ByteStream(const std::string& path) : path_(path) {
    std::error_code failure;
    const std::filesystem::file_status status = std::filesystem::status(path, failure);
    if (failure) throw_unreadable(failure.message());
    if (!std::filesystem::is_regular_file(status)) throw_unreadable("not a regular file");
    file_bytes_ = static_cast<std::int64_t>(std::filesystem::file_size(path, failure));
    if (failure) throw_unreadable(failure.message());
    errno = 0;
    file_ = gzopen(path.c_str(), "rb");
    if (file_ == nullptr) throw_unreadable(errno != 0 ? std::strerror(errno) : "out of memory");
    constexpr unsigned kBufferBytes = 1U << 17;
    gzbuffer(file_, kBufferBytes);
  }
  ~ByteStream() { gzclose_r(file_); }
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// Reads up to `size` bytes; fewer only at the end of the file.
  std::int64_t read(std::uint8_t* out, std::int64_t size) {
    std::int64_t total = 0;
    while (total < size) {
      constexpr std::int64_t kMaxCall = 1 << 30;  // zlib counts in unsigned int
      const int got =
          gzread(file_, out + total, static_cast<unsigned>(std::min(size - total, kMaxCall)));
      check();
      if (got <= 0) break;
      total += got;
    }
    return total;
  }

  /// Most bytes that the file can hold.
  std::int64_t capacity() {
    const bool compressed = gzdirect(file_) == 0;
    return compressed && file_bytes_ <= std::numeric_limits<std::int64_t>::max() / kMaxExpansion
               ? file_bytes_ * kMaxExpansion
               : file_bytes_;
  }

  [[noreturn]] void throw_bad(const std::string& cause) const {
    throw Error(Status::kBadData, fmt::format("{}: {}", path_, cause));
  }

 private:
  [[noreturn]] void throw_unreadable(const std::string& cause) const {
    throw Error(Status::kInputOutput, fmt::format("cannot read {}: {}", path_, cause));
  }

  /// zlib tells a stream that breaks off only here.
  void check() const {
    int code = Z_OK;
    const char* message = gzerror(file_, &code);
    if (code == Z_ERRNO) throw_unreadable(std::strerror(errno));
    if (code == Z_BUF_ERROR) throw_bad("the compressed data break off: the file is truncated");
    if (code != Z_OK) throw_bad(fmt::format("the compressed data are damaged ({})", message));
  }

  std::string path_;
  std::int64_t file_bytes_ = 0;
  gzFile file_ = nullptr;
};

std::uint32_t big_endian(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
}

}  // namespace

IdxArray read_idx(const std::string& path, int dimensions) {
  ByteStream stream(path);
  constexpr int kMaxDimensions = 4;
  std::uint8_t header[4 * (1 + kMaxDimensions)] = {};
  const int header_bytes = 4 * (1 + dimensions);
  if (const std::int64_t got = stream.read(header, header_bytes); got < header_bytes) {
    stream.throw_bad(fmt::format("{} bytes where an IDX header takes {}", got, header_bytes));
  }
  constexpr std::uint32_t kUnsignedBytes = 0x08;
  const std::uint32_t magic = big_endian(header);
  const std::uint32_t expected = kUnsignedBytes << 8 | static_cast<std::uint32_t>(dimensions);
  if (magic != expected) {
    stream.throw_bad(
        fmt::format("not an IDX file of unsigned bytes in {} dimension(s): it starts "
                    "with {:08x} where {:08x} is expected",
                    dimensions, magic, expected));
  }

  IdxArray array;
  std::int64_t size = 1;
  const std::int64_t capacity = stream.capacity();
  for (int i = 0; i < dimensions; ++i) {
    const auto extent = static_cast<std::int64_t>(big_endian(&header[std::size_t{4} * (1 + i)]));
    if (extent == 0) stream.throw_bad(fmt::format("dimension {} is 0", i));
    array.shape.push_back(extent);
    if (extent > capacity / size) {
      stream.throw_bad(fmt::format("its header claims {} values, more than the file can hold",
                                   fmt::join(array.shape, " x ")));
    }
    size *= extent;
  }

  // In pieces, so that a header that lies costs no more memory than what the file really holds.
  constexpr std::int64_t kPiece = 1 << 20;
  for (std::int64_t done = 0; done < size;) {
    const std::int64_t piece = std::min(kPiece, size - done);
    array.values.resize(static_cast<std::size_t>(done + piece));
    const std::int64_t got = stream.read(array.values.data() + done, piece);
    done += got;
    if (got < piece) {
      stream.throw_bad(fmt::format("it holds {} values where its header claims {}", done, size));
    }
  }
  std::uint8_t surplus = 0;
  if (stream.read(&surplus, 1) != 0) {
    stream.throw_bad(fmt::format("it holds more than the {} values that its header claims", size));
  }
  array.values.shrink_to_fit();
  return array;
}

}  // namespace l2o
