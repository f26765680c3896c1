#include "bench/synthetic_images.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "host/core/error.h"

namespace l2o {
namespace {

constexpr std::uint32_t kRows = 60'000;
constexpr std::uint32_t kSide = 28;
constexpr unsigned kClasses = 10;

void write_bytes(const std::string& path, const std::vector<std::uint8_t>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw Error(Status::kInputOutput, "cannot write " + path);
}

/// IDX: 0, 0, 8 (unsigned bytes), the number of dimensions; each dimension big-endian; the values.
void write_idx(const std::string& path, const std::vector<std::uint32_t>& shape,
               const std::vector<std::uint8_t>& values) {
  std::vector<std::uint8_t> header = {0, 0, 8, static_cast<std::uint8_t>(shape.size())};
  for (const std::uint32_t size : shape) {
    for (const int shift : {24, 16, 8, 0}) header.push_back((size >> shift) & 0xFFU);
  }
  header.insert(header.end(), values.begin(), values.end());
  write_bytes(path, header);
}

}  // namespace

SyntheticImages::SyntheticImages() {
  std::string name = (std::filesystem::temp_directory_path() / "l2o-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw Error(Status::kInputOutput, "cannot make " + name);
  directory_ = name;

  std::minstd_rand random(1);
  std::vector<std::uint8_t> images(std::size_t{kRows} * kSide * kSide);
  for (std::uint8_t& value : images) value = static_cast<std::uint8_t>(random() >> 8);
  std::vector<std::uint8_t> labels(kRows);
  for (std::uint8_t& value : labels) value = static_cast<std::uint8_t>((random() >> 8) % kClasses);
  write_idx(directory_ + "/train-images-idx3-ubyte", {kRows, kSide, kSide}, images);
  write_idx(directory_ + "/train-labels-idx1-ubyte", {kRows}, labels);

  // Records of a label and 3,072 bytes.
  constexpr std::size_t kRecords = 10'000, kRecord = 1 + 3 * 32 * 32;
  images.resize(kRecords * kRecord);
  for (std::size_t record = 0; record < kRecords; ++record)
    images[record * kRecord] = labels[record];
  write_bytes(directory_ + "/data_batch_1.bin", images);
}

SyntheticImages::~SyntheticImages() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace l2o
