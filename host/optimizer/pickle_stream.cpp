#include "host/optimizer/pickle_stream.h"

#include <fmt/format.h>

#include <charconv>

#include "host/core/error.h"

namespace l2o {

void PickleStream::fail(const std::string& cause) const {
  throw Error(Status::kBadData,
              fmt::format("{} is damaged or not a pickle of arrays: {}", source_name_, cause));
}

std::string_view PickleStream::take(std::uint64_t count) {
  if (count > bytes_.size()) fail("it ends too early");
  const std::string_view taken = bytes_.substr(0, count);
  bytes_.remove_prefix(count);
  return taken;
}

std::string_view PickleStream::read_line() {
  const std::size_t end = bytes_.find('\n');
  if (end == std::string_view::npos) fail("it ends too early");
  const std::string_view text = take(end);
  take(1);
  return text;
}

std::uint64_t PickleStream::unsigned_number(std::size_t width) {
  std::uint64_t number = 0;
  const std::string_view digits = take(width);
  for (std::size_t i = 0; i < width; ++i) {
    number |= std::uint64_t{static_cast<std::uint8_t>(digits[i])} << (8 * i);
  }
  return number;
}

std::int64_t PickleStream::signed_number(std::size_t width) {
  if (width == 0) return 0;
  const std::size_t unused = 64 - 8 * width;
  return static_cast<std::int64_t>(unsigned_number(width) << unused) >> unused;
}

std::int64_t PickleStream::decimal_line() {
  std::string_view digits = read_line();
  if (digits.ends_with('L')) digits.remove_suffix(1);
  std::int64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || stop != end) fail("an invalid number");
  return number;
}

/// The character with a hexadecimal code.
char PickleStream::hexadecimal(std::string_view digits) const {
  unsigned code = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, code, 16);
  if (error != std::errc() || stop != end) fail("a string with an invalid escape");
  if (code > 0xFF) fail("a string beyond Latin-1");
  return static_cast<char>(code);
}

std::string PickleStream::quoted_line() {
  std::string_view rest = read_line();
  if (rest.size() < 2 || rest.front() != rest.back() ||
      (rest.front() != '\'' && rest.front() != '"')) {
    fail("a string without its quotes");
  }
  rest = rest.substr(1, rest.size() - 2);
  std::string text;
  while (!rest.empty()) {
    std::size_t used = 1;
    char character = rest[0];
    if (character == '\\') {
      const char escaped = rest.size() > 1 ? rest[1] : '\0';
      used = 2;
      switch (escaped) {
        case '\\':
        case '\'':
        case '"':
          character = escaped;
          break;
        case 'n':
          character = '\n';
          break;
        case 'r':
          character = '\r';
          break;
        case 't':
          character = '\t';
          break;
        case 'x':
          used = 4;
          if (rest.size() < used) fail("a string with an invalid escape");
          character = hexadecimal(rest.substr(2, 2));
          break;
        default:
          fail("a string with an unknown escape");
      }
    }
    text += character;
    rest.remove_prefix(used);
  }
  return text;
}

std::string PickleStream::escaped_line() {
  std::string_view rest = read_line();
  std::string text;
  while (!rest.empty()) {
    constexpr std::size_t kEscape = 6;  // \uXXXX
    const bool escape = rest[0] == '\\';
    if (escape && (rest.size() < kEscape || rest[1] != 'u')) {
      fail("a string with an unknown escape");
    }
    text += escape ? hexadecimal(rest.substr(2, 4)) : rest[0];
    rest.remove_prefix(escape ? kEscape : 1);
  }
  return text;
}

std::string PickleStream::utf8(std::uint64_t size) {
  const std::string_view bytes = take(size);
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto first = static_cast<std::uint8_t>(bytes[i]);
    if (first < 0x80) {
      text += bytes[i];
      continue;
    }
    // Two bytes, 110000xx 10xxxxxx, encode the second half of Latin-1.
    const unsigned second = i + 1 < bytes.size() ? static_cast<std::uint8_t>(bytes[i + 1]) : 0;
    if ((first & 0xFC) != 0xC0 || (second & 0xC0) != 0x80) fail("a string beyond Latin-1");
    text += static_cast<char>((first & 3) << 6 | (second & 0x3F));
    ++i;
  }
  return text;
}

}  // namespace l2o
