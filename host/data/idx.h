// The IDX file format of MNIST: big-endian, a magic number (0, 0, type of the values, number of
// dimensions), the dimensions as 32-bit numbers, the values row-major.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace l2o {

struct IdxArray {
  std::vector<std::int64_t> shape;   ///< all at least 1
  std::vector<std::uint8_t> values;  ///< product of the shape
};

/// Reads a file of unsigned bytes with that number of dimensions, plain or gzip-compressed. Throws
/// kInputOutput if it cannot be read, and kBadData if it is anything but exactly such a file,
/// except for bytes after the compressed data (ByteStream::read()); kInternal unless `dimensions`
/// is 1..4. Never uses more memory than a small multiple of the actual content.
IdxArray read_idx(const std::string& path, int dimensions);

}  // namespace l2o
