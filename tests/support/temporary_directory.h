// A test's own directory, removed with its contents.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "tests/support/files.h"

namespace l2o {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "l2o-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + pattern);
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  /// Writes a file of text or bytes; returns its path.
  template <class Bytes>
  std::string write(const std::string& name, const Bytes& bytes) const {
    if constexpr (std::is_convertible_v<const Bytes&, std::string_view>) {
      test::write_contents(file(name), bytes);  // of a literal, without the zero at its end
    } else {
      static_assert(sizeof(*std::data(bytes)) == 1);
      test::write_contents(file(name),
                           {reinterpret_cast<const char*>(std::data(bytes)), std::size(bytes)});
    }
    return file(name);
  }

 private:
  std::string path_;
};

}  // namespace l2o
