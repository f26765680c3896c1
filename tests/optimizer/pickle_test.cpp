#include "host/optimizer/pickle.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/l2l_file.h"

namespace l2o {
namespace {

using std::string_literals::operator""s;
using test::L2lArray;
using test::L2lModules;
using test::pickled;

PickledModules parse(const std::string& bytes) {
  return parse_pickled_modules(std::as_bytes(std::span(bytes)), "cw.l2l");
}

/// {"m": {"v": array}} around the bytes that create an array.
std::string with_array(const std::string& array) { return "}(U\x01m}(U\x01v"s + array + "uu."; }

const std::string kArray = pickled(L2lArray{.shape = {2}, .values = {1.5, -2.0}});

std::string replaced(std::string bytes, const std::string& what, const std::string& by) {
  const std::size_t at = bytes.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return bytes.replace(at, what.size(), by);
}

TEST(Pickle, ReadsVectorsAndMatricesOfEitherType) {
  for (const bool wide : {false, true}) {
    const PickledModules modules = parse(
        pickled(L2lModules{{"m", {{"vector", {{3}, {1.0, 0.25, -7.0}, wide}}}},
                           {"n", {{"matrix", {{2, 3}, {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}, wide}}}}}));
    ASSERT_EQ(modules.size(), 2U);
    const PickledArray& vector = modules.at("m").at("vector");
    const PickledArray& matrix = modules.at("n").at("matrix");
    EXPECT_EQ(vector.shape, (std::vector<std::int64_t>{3}));
    EXPECT_EQ(vector.at(2), -7.0);
    EXPECT_EQ(matrix.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(matrix.at(1, 0), 3.0);
    EXPECT_EQ(matrix.at(0, 2), 2.0);
  }
}

TEST(Pickle, FortranOrder) {
  const L2lArray array = {{2, 3}, {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}};
  // The flag before the bytes is NEWFALSE or NEWTRUE.
  const PickledModules modules = parse(with_array(replaced(pickled(array), "\x89T", "\x88T")));
  EXPECT_EQ(modules.at("m").at("v").at(1, 0), 1.0);
  EXPECT_EQ(modules.at("m").at("v").at(0, 2), 4.0);
}

TEST(Pickle, ReadsEveryFormOfNamesAndNumbers) {
  for (const std::string& name :
       {"S'a\\'b'\n"s, "S'a\\x27b'\n"s, "S\"a'b\"\n"s, "Va\\u0027b\n"s, "U\x03"s + "a'b",
        "C\x03"s + "a'b", "T\x03\0\0\0"s + "a'b", "B\x03\0\0\0"s + "a'b", "X\x03\0\0\0"s + "a'b",
        "\x8c\x03"s + "a'b", "\x8d\x03\0\0\0\0\0\0\0"s + "a'b", "\x8e\x03\0\0\0\0\0\0\0"s + "a'b",
        "\x96\x03\0\0\0\0\0\0\0"s + "a'b"}) {
    EXPECT_TRUE(parse("}("s + name + "}u.").contains("a'b")) << name;
  }
  for (const std::string& two : {"K\x02"s, "M\x02\0"s, "J\x02\0\0\0"s, "I2\n"s, "L2L\n"s,
                                 "\x8a\x01\x02"s, "\x8a\x08\x02\0\0\0\0\0\0\0"s}) {
    const PickledModules modules = parse(with_array(replaced(kArray, "J\x02\0\0\0"s, two)));
    EXPECT_EQ(modules.at("m").at("v").at(1), -2.0) << two;
  }
}

TEST(Pickle, AllOpcodesShareOneMemo) {
  for (const auto& [put, get] : {std::pair{"p7\n"s, "g7\n"s},
                                 {"q\x07"s, "h\x07"s},
                                 {"r\x07\0\0\0"s, "j\x07\0\0\0"s},
                                 {"\x94"s, "h\0"s}}) {
    std::string bytes = "}(U\x01m";
    for (const std::string& part : {put, "}("s, get, kArray, "uU\x01n}u."s}) bytes += part;
    const PickledModules modules = parse(bytes);
    EXPECT_EQ(modules.at("m").at("m").at(0), 1.5) << put;
    EXPECT_TRUE(modules.at("n").empty());
  }
}

TEST(Pickle, RefusesInvalidBytes) {
  const std::string many_arrays = [] {
    std::string bytes = "}(";
    for (int i = 0; i <= 64; ++i)
      bytes += pickled(fmt::format("m{}", i)) + "}(" + pickled("v") + kArray + "u";
    return bytes + "u.";
  }();
  struct Row {
    std::string bytes, part;
  };
  const Row rows[] = {
      {"", "ends too early"},
      {"not a pickle", "opcode 0x6e"},
      {"\x80\x06}.", "protocol above 5"},
      {"}", "ends too early"},
      {"}.x", "bytes after its end"},
      {"}}.", "one object"},
      {".", "one object"},
      {"(}.", "one object"},
      // Code, and anything else beyond the list.
      {"cos\nsystem\n(S'true'\ntR.", "refers to os.system"},
      {"\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.", "refers to posix.system"},
      {"c__builtin__\neval\n(S'1'\ntR.", "refers to __builtin__.eval"},
      {"cnumpy\nload\n.", "refers to numpy.load"},
      {"cnumpy\ndtype\x1b[2J\n.", "not printable"},
      {"cdill._dill\n_load_type\n(S'FileType'\ntR.", "refers to the type FileType"},
      {"c__builtin__\ndict\n(tR.", "calls an object that is not a function"},
      {"S'f'\n(tR.", "expected a function"},
      {"ccollections\ndefaultdict\n)R.", "defaultdict with unknown arguments"},
      {"ccollections\ndefaultdict\nK\1\x85R."s, "defaultdict with unknown arguments"},
      {"c_codecs\nencode\n(Vx\nVrot13\ntR.", "encode with unknown arguments"},
      {"(S'm'\ni__main__\nX\n.", "opcode 0x69"},  // INST
      {"Pid\n.", "opcode 0x50"},                  // PERSID
      {"\x97.", "opcode 0x97"},                   // NEXT_BUFFER
      // Texts and numbers.
      {"}(U\1\t}u.", "not printable"},
      {"}("s + pickled(std::string(101, 'm')) + "}u.", "too long"},
      {"S'open\n.", "without its quotes"},
      {"S'\\x4'\n.", "invalid escape"},
      {"S'\\q'\n.", "unknown escape"},
      {"V\\u00\n.", "unknown escape"},
      {"V\\u0100\n.", "beyond Latin-1"},
      {"\x8c\x03\xe2\x82\xac.", "beyond Latin-1"},
      {"\x8c\x01\xc3.", "beyond Latin-1"},
      {"I1x\n.", "an invalid number"},
      {"I99999999999999999999\n.", "an invalid number"},
      {"\x8a\x09\1\1\1\1\1\1\1\1\1.", "beyond 64 bits"},
      {"T\xff\xff\xff\xff.", "ends too early"},
      {"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "ends too early"},
      // The stack.
      {"t.", "without its operands"},
      {"s.", "without its operands"},
      {"K\1(\x85.", "without its operands"},  // they are below a mark
      {"h\1.", "not in the memo"},
      {"}(K\1u.", "key without a value"},
      {"K\1(K\1K\1u.", "expected a dictionary"},
      // Not a dictionary of dictionaries of arrays.
      {"K\1.", "expected a dictionary of modules"},
      {"}U\1mK\1s.", "expected a dictionary of arrays"},
      {"}K\1}s.", "expected a string"},
      {"}(U\1m}U\1m}u.", "module m occurs twice"},
      {"}U\1m}(U\1v"s + kArray + "U\1v" + kArray + "us.", "m/v occurs twice"},
      {with_array("G\1\1\1\1\1\1\1\1"), "expected an array"},
      {with_array("F1.5\n"), "expected an array"},
      {with_array("N"), "expected an array"},
      {with_array(kArray.substr(0, kArray.find('R') + 1)), "without its values"},
      {many_arrays, "more than 64 arrays"},
      {"("s + std::string(70000, 'N') + "t.", "more than 65536 objects"},
      {"N"s + std::string(70000, '\x94') + ".", "memoizes too many objects"},
      // Arrays.
      {with_array(replaced(kArray, "f4", "i4")), "an array of i4"},
      {with_array(replaced(kArray, "U\x01<", "U\x01>")), "not little-endian"},
      {with_array(replaced(kArray, "R(K\x01(", "R(K\x02(")), "unknown version"},
      {with_array(replaced(kArray, "J\x02\0\0\0"s, "J\x03\0\0\0"s)), "shape [3] with 8 bytes"},
      {with_array(replaced(kArray, "J\x02\0\0\0"s, "J\0\0\0\0"s)), "impossible shape"},
      {with_array(replaced(kArray, "J\x02\0\0\0"s, "J\xff\xff\xff\xff")), "impossible shape"},
      {with_array(replaced(kArray, "J\x02\0\0\0"s, "\x8a\x08\2\0\0\0\0\0\0\x40"s)),
       "impossible shape"},
      {with_array(replaced(kArray, "J\x02\0\0\0"s, "")), "of 0 dimensions"},
      {with_array(replaced(kArray, "J\x02\0\0\0"s, "K\2K\1K\1")), "of 3 dimensions"},
      {with_array(replaced(kArray, "cnumpy\nndarray\n", "c__builtin__\ndict\n")), "_reconstruct"},
      {with_array("cnumpy.core.numeric\n_frombuffer\n(U\1xtR"), "_frombuffer"},
      {with_array("cdill._dill\n_create_array\n(tR"), "_create_array"},
  };
  for (const Row& row : rows) {
    const ThrownError error = error_of([&] { parse(row.bytes); });
    EXPECT_EQ(error.status, Status::kBadData) << row.part;
    EXPECT_TRUE(error.says("cw.l2l is damaged or not a pickle of arrays: ")) << error.message;
    EXPECT_TRUE(error.says(row.part)) << row.part << " is not in: " << error.message;
  }
}

}  // namespace
}  // namespace l2o
