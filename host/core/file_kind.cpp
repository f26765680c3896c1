#include "host/core/file_kind.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "host/core/nearest_name.h"

namespace l2o {
namespace {

constexpr std::size_t kExamined = 256;  // bytes examined at the beginning of the file
constexpr std::string_view kBlank = " \t\r\n";

bool is_text(std::string_view bytes) {
  return !bytes.empty() && std::all_of(bytes.begin(), bytes.end(), [](char c) {
    return (c >= ' ' && c != '\x7f') || kBlank.find(c) != std::string_view::npos;
  });
}

std::string describe_text(std::string_view text) {
  if (text.starts_with("version https://git-lfs")) {
    return "a git-lfs pointer to a file that was not downloaded; run `git lfs pull`";
  }
  const std::string begin =
      lower_case(std::string(text.substr(std::min(text.find_first_not_of(kBlank), text.size()))));
  if (begin.starts_with("<!doctype html") || begin.starts_with("<html")) return "an HTML page";
  if (begin.starts_with('{')) return "JSON";
  return kTextFile;
}

}  // namespace

std::string describe_other_file(std::span<const std::byte> bytes) {
  const std::string_view begin(reinterpret_cast<const char*>(bytes.data()),
                               std::min(bytes.size(), kExamined));
  struct Kind {
    std::string_view magic;
    const char* name;
  };
  static constexpr std::array<Kind, 9> kKinds = {{
      {"PK\x03\x04", "a zip archive, as PyTorch's .pt and NumPy's .npz files are"},
      {"\x1f\x8b", "a gzip file"},
      {"\x93NUMPY", "a NumPy .npy file"},
      {"\x89HDF\r\n\x1a\n", "an HDF5 file"},
      {"GGUF", "a GGUF file"},
      // The protocols in use.
      {"\x80\x02", kPickleFile},
      {"\x80\x03", kPickleFile},
      {"\x80\x04", kPickleFile},
      {"\x80\x05", kPickleFile},
  }};
  for (const Kind& kind : kKinds) {
    if (begin.starts_with(kind.magic)) return kind.name;
  }
  return is_text(begin) ? describe_text(begin) : "";
}

}  // namespace l2o
