// Pickles of NumPy arrays by name, read without Python: only listed opcodes and references are
// allowed. No code of a pickle is ever run; a reference beyond the list is rejected by name. The
// lists come from pickletools.dis of the output of Python 2 and 3, NumPy 1 and 2 and dill,
// protocols 0 to 5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace l2o {

/// A vector or matrix of float32 or float64, as stored by NumPy.
struct PickledArray {
  std::vector<std::int64_t> shape;  ///< one or two extents
  bool wide = false;                ///< float64, else float32
  bool column_major = false;        ///< Fortran order
  std::shared_ptr<const std::string> bytes;

  /// The value at an index within the shape; for a vector the column is 0.
  double at(std::int64_t row, std::int64_t column = 0) const;
};

/// {module: {variable: array}}
using PickledModules = std::map<std::string, std::map<std::string, PickledArray>>;

/// A dictionary of dictionaries of arrays, as learning-to-learn saves a network. Throws kBadData if
/// the bytes, which error messages call `source_name`, are anything else. Every name is printable
/// ASCII. Uses no more memory than a small multiple of the bytes.
PickledModules parse_pickled_modules(std::span<const std::byte> bytes,
                                     const std::string& source_name);

}  // namespace l2o
