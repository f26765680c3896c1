// The container by itself: round trips, and everything that it must refuse.

#include "host/core/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/error_of.h"

namespace l2o {
namespace {

/// A file with this header and `data_bytes` bytes of data.
std::vector<std::byte> file_of(const std::string& header, std::size_t data_bytes) {
  std::vector<std::byte> bytes(8 + header.size() + data_bytes);
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

std::string tensor(const std::string& shape, const std::string& offsets,
                   const std::string& dtype = "F32") {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

TEST(Safetensors, RoundTrip) {
  const Safetensors content = {
      .metadata = {{"key", "a \"quoted\"\nline, \xC3\xA9"}, {"empty", ""}},
      .tensors = {{"b", {{2, 3}, {1, 2, 3, 4, 5, -0.0F}}}, {"a", {{1}, {7.5F}}}}};
  const std::vector<std::byte> bytes = write_safetensors(content);
  EXPECT_EQ(parse_safetensors(bytes, "x"), content);
  EXPECT_EQ(write_safetensors(parse_safetensors(bytes, "x")), bytes);
}

TEST(Safetensors, TensorsAreAlignedTo8Bytes) {
  for (int padding = 0; padding < 9; ++padding) {
    const Safetensors content = {.metadata = {{"k", std::string(std::size_t(padding), 'x')}},
                                 .tensors = {{"a", {{1}, {1.0F}}}}};
    EXPECT_EQ((write_safetensors(content).size() - sizeof(float)) % 8, 0U);
  }
}

TEST(Safetensors, AcceptsAnotherOrderAndNoMetadata) {
  const auto bytes =
      file_of(R"({"b":)" + tensor("[1]", "[8,12]") + R"(,"a":)" + tensor("[2]", "[0,8]") + "}", 12);
  const Safetensors content = parse_safetensors(bytes, "x");
  EXPECT_TRUE(content.metadata.empty());
  EXPECT_EQ(content.tensors.at("a").values.size(), 2U);
}

TEST(Safetensors, RefusesInconsistentFiles) {
  struct Refused {
    std::string header;
    std::size_t data_bytes;
    std::string cause;
  };
  const std::string deep(10000, '[');
  const Refused cases[] = {
      {"", 0, "does not begin with '{'"},
      {"[]", 0, "does not begin with '{'"},
      {" {}", 0, "does not begin with '{'"},
      {"\n{}", 0, "does not begin with '{'"},
      {"{} x", 0, "not JSON"},
      {"{\"a\":\"\xFF\"}", 0, "not JSON"},
      {R"({"a":)" + tensor("[1]", "[0,4]") + R"(,"a":)" + tensor("[1]", "[4,8]") + "}", 8,
       "\"a\" occurs twice in its header"},
      {R"({"a":)" + tensor("[1]", "[0,4]") + R"(,"\u0061":)" + tensor("[1]", "[0,4]") + "}", 4,
       "\"a\" occurs twice in its header"},
      {R"({"__metadata__":{"k":"1","k":"2"}})", 0, "\"k\" occurs twice in its header"},
      {R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
       "\"dtype\" occurs twice in its header"},
      {R"({"__metadata__":[]})", 0, "__metadata__ is not an object"},
      {R"({"__metadata__":{"k":1}})", 0, "metadata \"k\" is not a string"},
      {R"({"__metadata__":)" + deep, 0, "nested too deeply"},
      {R"({"a":)" + deep, 0, "nested too deeply"},
      {R"({"a":[]})", 0, "tensor \"a\" is not described"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "tensor \"a\" is not described"},
      {R"({"a":)" + tensor("[1]", "[0,2]", "F16") + "}", 2, "not of dtype F32"},
      {R"({"a":)" + tensor("1", "[0,4]") + "}", 4, "no list \"shape\""},
      {R"({"a":)" + tensor("[1]", "[0,4,8]") + "}", 4, "lies outside the file"},
      {R"({"a":)" + tensor("[1]", "[4,0]") + "}", 4, "lies outside the file"},
      {R"({"a":)" + tensor("[1]", "[0,8]") + "}", 4, "lies outside the file"},
      {R"({"a":)" + tensor("[1]", "[0,18446744073709551615]") + "}", 4, "lies outside the file"},
      {R"({"a":)" + tensor("[1]", "[-4,0]") + "}", 4, "contains a value that is not a size"},
      {R"({"a":)" + tensor("[1.0]", "[0,4]") + "}", 4, "contains a value that is not a size"},
      {R"({"a":)" + tensor("[0]", "[0,4]") + "}", 4, "shape does not fit"},
      {R"({"a":)" + tensor("[2]", "[0,4]") + "}", 4, "shape does not fit"},
      {R"({"a":)" + tensor("[]", "[0,8]") + "}", 8, "shape does not fit"},
      {R"({"a":)" + tensor("[1]", "[0,5]") + "}", 5, "shape does not fit"},
      // 2^32 * 2^32 overflows to 0, and so does 2^62 * 4.
      {R"({"a":)" + tensor("[4294967296,4294967296,1]", "[0,4]") + "}", 4, "shape does not fit"},
      {R"({"a":)" + tensor("[4611686018427387905]", "[0,4]") + "}", 4, "shape does not fit"},
      {R"({"a":)" + tensor("[1]", "[0,4]") + "}", 8, "take 4 bytes, but 8 follow the header"},
      {R"({"a":)" + tensor("[1]", "[4,8]") + "}", 8, "overlap or leave bytes"},
      {R"({"a":)" + tensor("[2]", "[0,8]") + R"(,"b":)" + tensor("[2]", "[4,12]") + "}", 12,
       "overlap or leave bytes"},
      {R"({"a":)" + tensor("[1]", "[0,4]") + R"(,"b":)" + tensor("[1]", "[0,4]") + "}", 4,
       "shares its bytes"},
  };
  for (const Refused& refused : cases) {
    const ThrownError error = error_of(
        [&] { parse_safetensors(file_of(refused.header, refused.data_bytes), "the file"); });
    EXPECT_EQ(error.status, Status::kBadData) << refused.header.substr(0, 80);
    EXPECT_TRUE(error.says("the file is damaged")) << error.message;
    EXPECT_TRUE(error.says(refused.cause)) << refused.header.substr(0, 80) << ": " << error.message;
  }
}

TEST(Safetensors, TheSameKeyInSeveralObjectsIsNotADuplicate) {
  const std::string header = R"({"__metadata__":{"dtype":"x","a":"y"},"a":)" +
                             tensor("[1]", "[0,4]") + R"(,"b":)" + tensor("[1]", "[4,8]") + "}";
  EXPECT_EQ(parse_safetensors(file_of(header, 8), "it").tensors.size(), 2U);
}

TEST(Safetensors, NamesOtherKindsOfFiles) {
  const auto message = [](const std::string& text) {
    const ThrownError error =
        error_of([&] { parse_safetensors(std::as_bytes(std::span(text)), "m.pt"); });
    EXPECT_EQ(error.status, Status::kBadData) << text;
    return error.message;
  };
  const std::string zeros(40, '\0');
  for (const auto& [begin, kind] :
       {std::pair<std::string, std::string>{"PK\x03\x04", "a zip archive"},
        {"\x1f\x8b\x08", "a gzip file"},
        {"\x80\x02}q", "a Python pickle"},
        {"\x80\x04\x95", "a Python pickle"},
        {"\x93NUMPY", "a NumPy .npy file"}}) {
    EXPECT_TRUE(message(begin + zeros).starts_with("m.pt is " + kind)) << message(begin + zeros);
    EXPECT_TRUE(message(begin + zeros).ends_with(", not a safetensors file"));
  }
  for (const auto& [text, kind] :
       {std::pair<std::string, std::string>{"{\"layers\": 2, \"hidden\": 20}", "JSON"},
        {"\n<!DOCTYPE html>\n<html></html>", "an HTML page"},
        {"<HTML><body></body></HTML>", "an HTML page"},
        {"seed = 1\n[task]\n", "a text file"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
         "a git-lfs pointer"}}) {
    EXPECT_TRUE(message(text).starts_with("m.pt is " + kind)) << message(text);
  }
  EXPECT_NE(message("version https://git-lfs.github.com/spec/v1\n").find("`git lfs pull`"),
            std::string::npos);
}

TEST(Safetensors, AHeaderLengthIsNotTakenForAnotherFile) {
  // The header length 0x0280, little-endian, is how pickles begin.
  const std::string header = "{}" + std::string(0x0280 - 2, ' ');
  EXPECT_EQ(error_of([&] { parse_safetensors(file_of(header, 0), "it"); }).message, "");
  EXPECT_TRUE(error_of([&] {
                parse_safetensors(file_of(header, 4), "it");
              }).says("it is damaged or not a safetensors file"));
}

TEST(Safetensors, RefusesLengthsBeyondTheFile) {
  std::vector<std::byte> bytes = file_of("{}", 0);
  for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    std::memcpy(bytes.data(), &length, 8);
    EXPECT_TRUE(error_of([&] { parse_safetensors(bytes, "x"); }).says("shorter than its header"));
  }
  EXPECT_TRUE(
      error_of([] { parse_safetensors({}, "x"); }).says("shorter than its header's length"));
  const auto long_header = file_of("{}" + std::string(kMaxSafetensorsHeader, ' '), 0);
  EXPECT_TRUE(error_of([&] { parse_safetensors(long_header, "x"); }).says("at most 1048576"));
}

TEST(Safetensors, RefusesToWriteInvalidOrTooLongMetadata) {
  const auto refusal = [](const std::string& value) {
    return error_of([&] { write_safetensors({.metadata = {{"k", value}}, .tensors = {}}); });
  };
  EXPECT_EQ(refusal("\xFF").status, Status::kUsage);
  EXPECT_TRUE(refusal("\xFF").says("metadata \"k\" is not UTF-8"));
  EXPECT_EQ(refusal(std::string(kMaxSafetensorsHeader, 'x')).status, Status::kUsage);
}

}  // namespace
}  // namespace l2o
