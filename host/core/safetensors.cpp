#include "host/core/safetensors.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "host/core/error.h"
#include "host/core/file_kind.h"
#include "host/core/text.h"

namespace l2o {
namespace {

using Json = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "the file's numbers are little-endian");

constexpr std::size_t kLengthBytes = 8;  // size of the header's length field
constexpr char kMetadata[] = "__metadata__";

/// Bytes of one value of this type; 0 if the type is unknown.
std::size_t bytes_of(const std::string& dtype) {
  static const std::map<std::string, std::size_t> known = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"U16", 2}, {"I16", 2}, {"F16", 2}, {"BF16", 2},
      {"U32", 4},  {"I32", 4}, {"F32", 4}, {"U64", 8}, {"I64", 8}, {"F64", 8}};
  const auto found = known.find(dtype);
  return found == known.end() ? 0 : found->second;
}

/// Parses one file; every error names it.
class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& source_name)
      : bytes_(bytes), source_name_(source_name) {}

  struct Content {
    std::map<std::string, std::string> metadata;
    std::map<std::string, TensorView> tensors;
  };

  Content parse() {
    const Json header = parse_header();
    Content content;
    std::map<std::size_t, std::size_t> extents;  // begin -> end of the tensors' bytes
    for (const auto& [name, entry] : header.items()) {
      if (name == kMetadata) {
        content.metadata = parse_metadata(entry);
      } else {
        content.tensors[name] = parse_tensor(name, entry, extents);
      }
    }
    std::size_t covered = 0;
    for (const auto& [begin, end] : extents) {
      if (begin != covered) fail("the tensors overlap or leave bytes between them");
      covered = end;
    }
    if (covered != data_.size()) {
      fail(fmt::format("the tensors take {} bytes, but {} follow the header", covered,
                       data_.size()));
    }
    return content;
  }

  [[noreturn]] void fail(const std::string& cause) const {
    const std::string other = has_header() ? "" : describe_other_file(bytes_);
    if (!other.empty()) {
      throw Error(Status::kBadData,
                  fmt::format("{} is {}, not a safetensors file", source_name_, other));
    }
    throw Error(Status::kBadData,
                fmt::format("{} is damaged or not a safetensors file: {}", source_name_, cause));
  }

 private:
  /// Whether the header begins where it should. Then this is not another kind of file, even if its
  /// first bytes, the header's length, look like the start of one.
  bool has_header() const {
    return bytes_.size() > kLengthBytes + 1 && bytes_[kLengthBytes] == std::byte{'{'} &&
           bytes_[kLengthBytes - 1] == std::byte{0};
  }

  Json parse_header() {
    if (bytes_.size() < kLengthBytes) fail("shorter than its header's length field");
    std::uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), kLengthBytes);
    if (length > bytes_.size() - kLengthBytes) fail("shorter than its header");
    if (length > kMaxSafetensorsHeader) {
      fail(fmt::format("a header of {} bytes; expected at most {}", length, kMaxSafetensorsHeader));
    }
    const auto header = bytes_.subspan(kLengthBytes, length);
    data_ = bytes_.subspan(kLengthBytes + length);

    const auto* text = reinterpret_cast<const char*>(header.data());
    // The JSON parser would accept leading whitespace; the format does not.
    if (header.empty() || text[0] != '{') fail("its header does not begin with '{'");
    // The JSON parser takes a zero byte for the end of the text and would ignore the rest.
    if (std::memchr(text, 0, header.size()) != nullptr) fail("its header contains a zero byte");
    // Deep nesting would cost many times its length in memory; a header has three levels. If a key
    // occurred twice, this parser would keep the last value; others keep the first, or fail.
    constexpr int kLevels = 3;
    std::array<std::set<std::string>, kLevels + 2> keys;  // keys of the open object at each level
    const auto check = [&](int depth, Json::parse_event_t event, const Json& parsed) {
      if (depth > kLevels) fail("its header is nested too deeply");
      if (event == Json::parse_event_t::object_start)
        keys[static_cast<std::size_t>(depth) + 1].clear();
      if (event == Json::parse_event_t::key &&
          !keys[static_cast<std::size_t>(depth)].insert(parsed.get<std::string>()).second) {
        fail(fmt::format("\"{}\" occurs twice in its header", parsed.get<std::string>()));
      }
      return true;
    };
    Json json;
    try {
      json = Json::parse(text, text + header.size(), check);
    } catch (const Json::exception& exception) {
      fail(fmt::format("its header is not JSON: {}", exception.what()));
    }
    return json;
  }

  std::map<std::string, std::string> parse_metadata(const Json& entry) const {
    if (!entry.is_object()) fail("__metadata__ is not an object");
    std::map<std::string, std::string> metadata;
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) fail(fmt::format("metadata \"{}\" is not a string", key));
      metadata[key] = value.get<std::string>();
    }
    return metadata;
  }

  /// The unsigned integers of the list entry[key].
  std::vector<std::uint64_t> numbers(const std::string& name, const Json& entry,
                                     const char* key) const {
    if (!entry.contains(key) || !entry[key].is_array()) {
      fail(fmt::format("tensor \"{}\" has no list \"{}\"", name, key));
    }
    std::vector<std::uint64_t> result;
    for (const Json& value : entry[key]) {
      if (!value.is_number_unsigned()) {
        fail(fmt::format("tensor \"{}\": \"{}\" contains a value that is not a size", name, key));
      }
      result.push_back(value.get<std::uint64_t>());
    }
    return result;
  }

  TensorView parse_tensor(const std::string& name, const Json& entry,
                          std::map<std::size_t, std::size_t>& extents) const {
    if (!entry.is_object() || entry.size() != 3) {
      fail(fmt::format("tensor \"{}\" is not described by dtype, shape and data_offsets", name));
    }
    TensorView tensor;
    if (entry.contains("dtype") && entry["dtype"].is_string()) tensor.dtype = entry["dtype"];
    const std::size_t value_bytes = bytes_of(tensor.dtype);
    if (value_bytes == 0) fail(fmt::format("tensor \"{}\" has an unknown dtype", name));
    const auto offsets = numbers(name, entry, "data_offsets");
    if (offsets.size() != 2 || offsets[0] >= offsets[1] || offsets[1] > data_.size()) {
      fail(fmt::format("tensor \"{}\" is empty or lies outside the file", name));
    }
    const std::uint64_t bytes = offsets[1] - offsets[0];
    std::uint64_t count = 1;
    for (const std::uint64_t extent : numbers(name, entry, "shape")) {
      // Dividing avoids overflow of the product.
      if (extent == 0 || extent > bytes / value_bytes / count) {
        fail(fmt::format("tensor \"{}\": its shape does not fit its {} bytes", name, bytes));
      }
      count *= extent;
      tensor.shape.push_back(static_cast<std::int64_t>(extent));
    }
    if (count * value_bytes != bytes) {
      fail(fmt::format("tensor \"{}\": its shape does not fit its {} bytes", name, bytes));
    }
    if (!extents.emplace(offsets[0], offsets[1]).second) {
      fail(fmt::format("tensor \"{}\" shares its bytes with another", name));
    }
    tensor.bytes = data_.subspan(offsets[0], bytes);
    return tensor;
  }

  std::span<const std::byte> bytes_, data_;
  const std::string& source_name_;
};

}  // namespace

std::vector<std::byte> write_safetensors(const Safetensors& content) {
  for (const auto& [key, value] : content.metadata) {
    if (is_utf8(key) && is_utf8(value)) continue;
    throw Error(Status::kUsage, fmt::format("metadata \"{}\" is not UTF-8 text", key));
  }
  Json header = Json::object();
  header[kMetadata] = content.metadata;
  std::size_t data_bytes = 0;
  for (const auto& [name, tensor] : content.tensors) {
    const std::size_t end = data_bytes + tensor.values.size() * sizeof(float);
    header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {data_bytes, end}}};
    data_bytes = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMaxSafetensorsHeader) {
    throw Error(Status::kUsage,
                fmt::format("the metadata makes a header of {} bytes; expected at most {}",
                            text.size(), kMaxSafetensorsHeader));
  }

  std::vector<std::byte> bytes(kLengthBytes + text.size() + data_bytes);
  const std::uint64_t length = text.size();
  std::byte* out = bytes.data();
  std::memcpy(out, &length, kLengthBytes);
  std::memcpy(out += kLengthBytes, text.data(), text.size());
  out += text.size();
  for (const auto& [name, tensor] : content.tensors) {
    std::memcpy(out, tensor.values.data(), tensor.values.size() * sizeof(float));
    out += tensor.values.size() * sizeof(float);
  }
  return bytes;
}

std::map<std::string, TensorView> view_safetensors(std::span<const std::byte> bytes,
                                                   const std::string& source_name) {
  return Parser(bytes, source_name).parse().tensors;
}

Safetensors parse_safetensors(std::span<const std::byte> bytes, const std::string& source_name) {
  Parser parser(bytes, source_name);
  Parser::Content content = parser.parse();
  Safetensors result{.metadata = std::move(content.metadata), .tensors = {}};
  for (const auto& [name, view] : content.tensors) {
    if (view.dtype != "F32") parser.fail(fmt::format("tensor \"{}\" is not of dtype F32", name));
    Tensor& tensor = result.tensors[name];
    tensor.shape = view.shape;
    tensor.values.resize(view.bytes.size() / sizeof(float));
    std::memcpy(tensor.values.data(), view.bytes.data(), view.bytes.size());
  }
  return result;
}

}  // namespace l2o
