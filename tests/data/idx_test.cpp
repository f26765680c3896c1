#include "host/data/idx.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/support/error_of.h"
#include "tests/support/small_mnist.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

std::vector<std::uint8_t> gzip(const std::vector<std::uint8_t>& plain) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;  // largest window, gzip wrapping
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::vector<std::uint8_t> out(deflateBound(&stream, plain.size()) + 32);
  stream.next_in = const_cast<Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class Idx : public testing::Test {
 protected:
  /// Always a new file: overwriting an old one makes some file systems wait for the disk.
  std::string write(const std::vector<std::uint8_t>& bytes) {
    return directory_.write(std::to_string(files_++), bytes);
  }

  ThrownError error_of_reading(const std::vector<std::uint8_t>& bytes, int dimensions = 3) {
    const std::string path = write(bytes);
    ThrownError error = error_of([&] { read_idx(path, dimensions); });
    if (error.status != Status::kOk) {
      EXPECT_TRUE(error.says(path)) << error.message;
    }
    return error;
  }

  TemporaryDirectory directory_;
  int files_ = 0;
  const std::vector<std::uint8_t> values_ = {0,  1,  2,  3,  4,  5,  6,  7,  255, 9,  10, 11,
                                             12, 13, 14, 15, 16, 17, 18, 19, 20,  21, 22, 23};
  const std::vector<std::uint8_t> good_ = idx_bytes({2, 3, 4}, values_);
};

TEST_F(Idx, ReadsPlainAndCompressed) {
  for (const auto& bytes : {good_, gzip(good_)}) {
    const IdxArray array = read_idx(write(bytes), 3);
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 3, 4}));
    EXPECT_EQ(array.values, values_);
  }
}

TEST_F(Idx, ReadsMoreThanOnePiece) {
  std::vector<std::uint8_t> values(3'000'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i * i / 7);
  for (const auto& bytes : {idx_bytes({3'000'000}, values), gzip(idx_bytes({3'000'000}, values))}) {
    EXPECT_EQ(read_idx(write(bytes), 1).values, values);
  }
}

TEST_F(Idx, EveryTruncationIsRefused) {
  for (const auto& bytes : {good_, gzip(good_)}) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const ThrownError error = error_of_reading({bytes.begin(), bytes.begin() + size});
      EXPECT_EQ(error.status, Status::kBadData) << size << " of " << bytes.size() << " bytes";
    }
  }
}

TEST_F(Idx, ATruncatedCompressedFileIsReportedAsSuch) {
  std::vector<std::uint8_t> bytes = gzip(good_);
  bytes.pop_back();  // all values are present; only the last byte of the trailer is missing
  EXPECT_TRUE(error_of_reading(bytes).says("truncated"));
}

TEST_F(Idx, TrailingBytesAreRefused) {
  std::vector<std::uint8_t> surplus = good_;
  surplus.push_back(0);
  EXPECT_EQ(error_of_reading(surplus).status, Status::kBadData);
  EXPECT_EQ(error_of_reading(gzip(surplus)).status, Status::kBadData);
}

TEST_F(Idx, AfterCompressedDataOnlyMoreOfItIsRead) {
  const auto joined = [](std::vector<std::uint8_t> bytes, const std::vector<std::uint8_t>& more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return bytes;
  };
  for (const std::size_t padding : {1U, 512U, 200'000U}) {
    const std::vector<std::uint8_t> zeros(padding);
    EXPECT_EQ(read_idx(write(joined(gzip(good_), zeros)), 3).values, values_) << padding;
  }
  const auto middle = good_.begin() + 20;
  EXPECT_EQ(
      read_idx(write(joined(gzip({good_.begin(), middle}), gzip({middle, good_.end()}))), 3).values,
      values_);
  EXPECT_TRUE(error_of_reading(joined(gzip(good_), gzip({0}))).says("more than the 24 values"));
}

TEST_F(Idx, EveryOtherHeaderIsRefused) {
  constexpr std::size_t kHeader = 4 + 3 * 4;
  for (std::size_t at = 0; at < kHeader; ++at) {
    for (const int change : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::vector<std::uint8_t> bytes = good_;
      bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ change);
      EXPECT_EQ(error_of_reading(bytes).status, Status::kBadData) << "byte " << at;
      EXPECT_EQ(error_of_reading(gzip(bytes)).status, Status::kBadData) << "byte " << at;
    }
  }
}

TEST_F(Idx, DamageToACompressedFileIsDetected) {
  // Some bits of a gzip header (time stamp, system) do not affect the content; values that are read
  // without an error must be correct.
  const std::vector<std::uint8_t> whole = gzip(good_);
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::vector<std::uint8_t> bytes = whole;
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1 << bit % 8));
    const std::string path = write(bytes);
    IdxArray array;
    const ThrownError error = error_of([&] { array = read_idx(path, 3); });
    if (error.status == Status::kOk) {
      EXPECT_EQ(array.values, values_) << "bit " << bit;
    } else {
      EXPECT_EQ(error.status, Status::kBadData) << "bit " << bit << ": " << error.message;
      ++refused;
    }
  }
  constexpr int kGzipHeaderBits = 80;
  EXPECT_GE(refused, static_cast<int>(8 * whole.size()) - kGzipHeaderBits);
}

TEST_F(Idx, AClaimBeyondTheFileAllocatesNoMemory) {
  // From 2^96 values down to a product that is too large although each of its factors is not.
  constexpr std::uint32_t kMost = 0xFFFFFFFFU;
  const std::vector<std::uint32_t> shapes[] = {{kMost, kMost, kMost}, {0x80000000U, 1, 1}};
  for (const std::vector<std::uint32_t>& shape : shapes) {
    const auto bytes = idx_bytes(shape, values_);
    EXPECT_TRUE(error_of_reading(bytes).says("more than the file can hold"));
    EXPECT_TRUE(error_of_reading(gzip(bytes)).says("more than the file can hold"));
  }
  const auto plain = idx_bytes({30, 30, 30}, values_);
  EXPECT_TRUE(error_of_reading(plain).says("30 x 30 values, more than the file can hold"));
  const auto compressed = gzip(idx_bytes({300, 300, 300}, values_));
  EXPECT_TRUE(error_of_reading(compressed).says("300 x 300 values, more than"));
}

TEST_F(Idx, WrongKindsAreNamed) {
  EXPECT_TRUE(error_of_reading(good_, 1).says("00000803")) << "the start of the file";
  EXPECT_TRUE(error_of_reading(good_, 1).says("00000801")) << "the expected start";
  EXPECT_TRUE(error_of_reading(idx_bytes({2, 0, 4}, {})).says("dimension 1 is 0"));
}

TEST_F(Idx, HasOneToFourDimensions) {
  const std::string path = write(idx_bytes({2, 3, 2, 2}, values_));
  EXPECT_EQ(read_idx(path, 4).shape, (std::vector<std::int64_t>{2, 3, 2, 2}));
  for (const int dimensions : {-1, 0, 5, 255}) {
    EXPECT_EQ(error_of([&] { read_idx(path, dimensions); }).status, Status::kInternal)
        << dimensions;
  }
}

TEST_F(Idx, AnUnreadableFileIsAnInputError) {
  const std::string missing = directory_.path() + "/missing";
  for (const std::string& path : {missing, directory_.path()}) {
    const ThrownError error = error_of([&] { read_idx(path, 3); });
    EXPECT_EQ(error.status, Status::kInputOutput);
    EXPECT_TRUE(error.says(path)) << error.message;
  }
}

}  // namespace
}  // namespace l2o
