// Pickles of NumPy arrays by name, read without Python: a list of what may stand in one, and
// nothing else. No code of a pickle is ever run; whatever it refers to beyond the list is refused
// by its name. Where the lists come from: pickletools.dis of what Python 2 and 3, NumPy 1 and 2 and
// dill write, protocols 0 to 5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace l2o {

/// A vector or matrix of float32 or float64, as NumPy keeps it.
struct PickledArray {
  std::vector<std::int64_t> shape;  ///< one or two extents
  bool wide = false;                ///< float64, else float32
  bool column_major = false;        ///< Fortran's order
  std::shared_ptr<const std::string> bytes;

  /// The value at an index that is inside; of a vector the column is 0.
  double at(std::int64_t row, std::int64_t column = 0) const;
};

/// {module: {variable: array}}
using PickledModules = std::map<std::string, std::map<std::string, PickledArray>>;

/// A dictionary of dictionaries of arrays, as learning-to-learn saves a network. Throws kBadData
/// where the bytes are something else; `source_name` is what complaints call them. Every name is
/// printable ASCII. Takes no more memory than a small multiple of the bytes.
PickledModules parse_pickled_modules(std::span<const std::byte> bytes,
                                     const std::string& source_name);

}  // namespace l2o
