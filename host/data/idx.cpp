#include "host/data/idx.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "host/core/error.h"
#include "host/data/byte_stream.h"

namespace l2o {
namespace {

std::uint32_t big_endian(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
}

}  // namespace

IdxArray read_idx(const std::string& path, int dimensions) {
  constexpr int kMaxDimensions = 4;
  if (dimensions < 1 || dimensions > kMaxDimensions) {
    throw Error(Status::kInternal, fmt::format("{}: an IDX file of {} dimensions; expected 1 to {}",
                                               path, dimensions, kMaxDimensions));
  }
  ByteStream stream(path);
  std::uint8_t header[4 * (1 + kMaxDimensions)] = {};
  const int header_bytes = 4 * (1 + dimensions);
  if (const std::int64_t got = stream.read(header, header_bytes); got < header_bytes) {
    stream.throw_bad(fmt::format("{} bytes; expected an IDX header of {}", got, header_bytes));
  }
  constexpr std::uint32_t kUnsignedBytes = 0x08;
  const std::uint32_t magic = big_endian(header);
  const std::uint32_t expected = kUnsignedBytes << 8 | static_cast<std::uint32_t>(dimensions);
  if (magic != expected) {
    stream.throw_bad(
        fmt::format("not an IDX file of unsigned bytes in {} dimension(s): it starts "
                    "with {:08x}; expected {:08x}",
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

  // In pieces, so that a false header costs no more memory than the actual content.
  constexpr std::int64_t kPiece = 1 << 20;
  for (std::int64_t done = 0; done < size;) {
    const std::int64_t piece = std::min(kPiece, size - done);
    array.values.resize(static_cast<std::size_t>(done + piece));
    const std::int64_t got = stream.read(array.values.data() + done, piece);
    done += got;
    if (got < piece) {
      stream.throw_bad(fmt::format("it holds {} values, but its header claims {}", done, size));
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
