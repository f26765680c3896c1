// Writes saved networks of learning-to-learn for tests, as pickle does with protocol 2.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace l2o::test {

struct L2lArray {
  std::vector<std::int64_t> shape;
  std::vector<double> values;
  bool wide = false;  ///< float64, else float32
};

/// {module: {variable: array}}
using L2lModules = std::map<std::string, std::map<std::string, L2lArray>>;

template <class Number>
std::string little_endian(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

inline std::string pickled(const std::string& text) {
  return std::string("U") + static_cast<char>(text.size()) + text;
}

inline std::string pickled(const L2lArray& array) {
  using std::string_literals::operator""s;
  std::string values, shape;
  for (const double value : array.values) {
    values += array.wide ? little_endian(value) : little_endian(static_cast<float>(value));
  }
  for (const std::int64_t extent : array.shape) {
    shape += std::string("J") + little_endian(static_cast<std::int32_t>(extent));
  }
  return "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01"
         "b\x87R(K\x01("s +
         shape + "tcnumpy\ndtype\nU\x02"s + (array.wide ? "f8" : "f4") +
         "K\0K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T"s +
         little_endian(static_cast<std::uint32_t>(values.size())) + values + "tb";
}

inline std::string pickled(const L2lModules& modules) {
  std::string bytes = "\x80\x02}(";
  for (const auto& [name, variables] : modules) {
    bytes += pickled(name) + "}(";
    for (const auto& [variable, array] : variables) bytes += pickled(variable) + pickled(array);
    bytes += "u";
  }
  return bytes + "u.";
}

}  // namespace l2o::test
