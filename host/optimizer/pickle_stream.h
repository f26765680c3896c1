// The bytes of a pickle, item by item: numbers, lines, strings in all forms written by Python's
// protocols 0 to 5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace l2o {

/// Errors name the input. Strings are returned as Latin-1, one byte per character: Python 2 stores
/// them so, Python 3 stores bytes so in its old protocols, and it suffices for names.
class PickleStream {
 public:
  PickleStream(std::span<const std::byte> bytes, const std::string& source_name)
      : bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
        source_name_(source_name) {}

  [[noreturn]] void fail(const std::string& cause) const;

  bool at_end() const { return bytes_.empty(); }
  std::uint8_t read_byte() { return static_cast<std::uint8_t>(take(1).front()); }
  /// The next `count` bytes.
  std::string_view take(std::uint64_t count);
  /// The bytes before the next newline, which is skipped.
  std::string_view read_line();

  /// A little-endian number of `width` bytes, at most 8.
  std::uint64_t unsigned_number(std::size_t width);
  /// The same in two's complement.
  std::int64_t signed_number(std::size_t width);
  /// A line with a decimal number, in Python 2 possibly followed by an L.
  std::int64_t decimal_line();

  /// A line with a quoted string, as written by repr() of Python 2.
  std::string quoted_line();
  /// A line of Latin-1 in which \uXXXX stands for characters that would end the line, and for a
  /// backslash.
  std::string escaped_line();
  /// `size` bytes of UTF-8.
  std::string utf8(std::uint64_t size);

 private:
  char hexadecimal(std::string_view digits) const;

  std::string_view bytes_;  // not read yet
  const std::string& source_name_;
};

}  // namespace l2o
