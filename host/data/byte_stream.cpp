#include "host/data/byte_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>
#include <system_error>

#include "host/core/error.h"
#include "host/core/file_kind.h"
#include "host/data/find_file.h"

namespace l2o {
namespace {

/// A byte of deflate data expands to at most 1032 bytes (RFC 1951: a match of 258 bytes takes at
/// least 2 bits), so a header that claims more than that is rejected before anything is read.
constexpr std::int64_t kMaxExpansion = 1032;

}  // namespace

ByteStream::ByteStream(const std::string& path) : path_(path) {
  require_regular_file(path);
  std::error_code failure;
  file_bytes_ = static_cast<std::int64_t>(std::filesystem::file_size(path, failure));
  if (failure) throw_unreadable(failure.message());
  errno = 0;
  file_ = gzopen(path.c_str(), "rb");
  if (file_ == nullptr) throw_unreadable(errno != 0 ? std::strerror(errno) : "out of memory");
  constexpr unsigned kBufferBytes = 1U << 17;
  gzbuffer(file_, kBufferBytes);
}

std::int64_t ByteStream::read(std::uint8_t* out, std::int64_t size) {
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

std::int64_t ByteStream::capacity() {
  const bool compressed = gzdirect(file_) == 0;
  return compressed && file_bytes_ <= std::numeric_limits<std::int64_t>::max() / kMaxExpansion
             ? file_bytes_ * kMaxExpansion
             : file_bytes_;
}

void ByteStream::throw_bad(const std::string& cause) const {
  std::array<char, 256> begin{};
  std::ifstream file(path_, std::ios::binary);
  file.read(begin.data(), begin.size());
  const auto length = static_cast<std::size_t>(file.gcount());
  // A file that zlib decompresses is of the expected kind.
  const std::string other =
      gzdirect(file_) == 0 ? ""
                           : describe_other_file(std::as_bytes(std::span(begin).first(length)));
  throw Error(Status::kBadData,
              fmt::format("{}: {}{}", path_, other.empty() ? "" : "it is " + other + "; ", cause));
}

void ByteStream::throw_unreadable(const std::string& cause) const {
  throw Error(Status::kInputOutput, fmt::format("cannot read {}: {}", path_, cause));
}

/// zlib reports a truncated stream only here.
void ByteStream::check() const {
  int code = Z_OK;
  const char* message = gzerror(file_, &code);
  if (code == Z_ERRNO) throw_unreadable(std::strerror(errno));
  if (code == Z_BUF_ERROR) throw_bad("the compressed data ends early: the file is truncated");
  if (code != Z_OK) throw_bad(fmt::format("the compressed data is damaged ({})", message));
}

}  // namespace l2o
