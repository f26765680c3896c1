// Records of CIFAR-10 and CIFAR-100, plain and compressed.
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "host/core/error.h"
#include "host/data/readers.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

namespace l2o {
namespace {

/// A directory in which the input is named like a file of the data set.
class Directory {
 public:
  Directory(const std::string& name, const std::string& target) {
    char path[] = "/tmp/cifar_fuzz_XXXXXX";
    if (mkdtemp(path) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = path;
    std::filesystem::create_symlink(target, path_ / name);
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

void read_and_check(const std::string& name, const std::string& file, const std::string& target) {
  const Directory directory(file, target);
  const DataSet set = read_cifar({.name = name, .directory = directory.path()});
  if (set.bytes.size() != static_cast<std::size_t>(set.rows) * 3072 ||
      set.labels.size() != static_cast<std::size_t>(set.rows)) {
    throw std::logic_error("the number of rows does not match the values");
  }
}

}  // namespace

void read_input(std::span<const std::byte> bytes) {
  const MemoryFile file(bytes);
  try {
    read_and_check("cifar10", "data_batch_1.bin", file.path());
    return;
  } catch (const Error&) {
    // It may still be CIFAR-100.
  }
  read_and_check("cifar100", "train.bin", file.path());
}

}  // namespace l2o
