// The bytes of a pickle, item by item: numbers, lines, texts in all the forms that Python's
// protocols 0 to 5 write them in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace l2o {

/// Names the input in every complaint. Texts are given as Latin-1, one byte a character: that is
/// how Python 2 has them, how Python 3 stores bytes in its old protocols, and all that names need.
class PickleStream {
 public:
  PickleStream(std::span<const std::byte> bytes, const std::string& source_name)
      : bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
        source_name_(source_name) {}

  [[noreturn]] void fail(const std::string& cause) const;

  bool at_end() const { return bytes_.empty(); }
  std::uint8_t byte() { return static_cast<std::uint8_t>(take(1).front()); }
  /// The next `count` bytes.
  std::string_view take(std::uint64_t count);
  /// What stands before the next newline, which is passed over.
  std::string_view line();

  /// A little-endian number of `width` bytes, at most 8.
  std::uint64_t unsigned_number(std::size_t width);
  /// The same in two's complement.
  std::int64_t signed_number(std::size_t width);
  /// A line with a number in decimals, of Python 2 perhaps with an L behind it.
  std::int64_t decimal_line();

  /// A line with a text in quotes, as repr() of Python 2 writes it.
  std::string quoted_line();
  /// A line of Latin-1 in which \uXXXX stands for what would end the line, and for a backslash.
  std::string escaped_line();
  /// `size` bytes of UTF-8.
  std::string utf8(std::uint64_t size);

 private:
  char hexadecimal(std::string_view digits) const;

  std::string_view bytes_;  // what is left
  const std::string& source_name_;
};

}  // namespace l2o
