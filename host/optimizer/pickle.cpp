#include "host/optimizer/pickle.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "host/optimizer/pickle_objects.h"
#include "host/optimizer/pickle_stream.h"

namespace l2o {
namespace {

static_assert(std::endian::native == std::endian::little, "the arrays are little-endian");

/// The opcodes that dictionaries of arrays need, as named in Python's pickletools.py.
enum Opcode : std::uint8_t {
  kProto = 0x80,
  kFrame = 0x95,
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kBinInt = 'J',
  kLong1 = 0x8a,
  kInt = 'I',
  kLong = 'L',
  kFloat = 'F',
  kBinFloat = 'G',
  kString = 'S',
  kShortBinString = 'U',
  kShortBinBytes = 'C',
  kBinString = 'T',
  kBinBytes = 'B',
  kBinBytes8 = 0x8e,
  kByteArray8 = 0x96,
  kUnicode = 'V',
  kShortBinUnicode = 0x8c,
  kBinUnicode = 'X',
  kBinUnicode8 = 0x8d,
  kMark = '(',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyDict = '}',
  kDict = 'd',
  kSetItem = 's',
  kSetItems = 'u',
  kPut = 'p',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kMemoize = 0x94,
  kGet = 'g',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kReduce = 'R',
  kBuild = 'b',
  kStop = '.'
};

/// The stack machine that a pickle is a program for.
class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& source_name)
      : in_(bytes, source_name), objects_(in_) {}

  PickledModules run() {
    for (std::uint8_t opcode = in_.read_byte(); opcode != kStop; opcode = in_.read_byte()) {
      if (!push_value(opcode)) rearrange(opcode);
    }
    if (!in_.at_end()) in_.fail("there are bytes after its end");
    if (stack_.size() != 1 || !marks_.empty()) in_.fail("it does not end with one object");
    return objects_.modules(stack_.front());
  }

 private:
  using Ref = PickleObjects::Ref;
  using Items = PickleObjects::Items;

  /// Handles opcodes that carry a number or a string, and those without effect here; false for the
  /// others.
  bool push_value(std::uint8_t opcode) {
    switch (opcode) {
      case kProto:
        if (in_.read_byte() > 5) in_.fail("a protocol above 5");
        break;
      case kFrame:  // only for readers that prefetch
        in_.take(8);
        break;

      case kNone:
        push(PickleObjects::Nothing{});
        break;
      case kNewTrue:
        push(std::int64_t{1});
        break;
      case kNewFalse:
        push(std::int64_t{0});
        break;
      case kBinInt1:
        push(std::int64_t{in_.read_byte()});
        break;
      case kBinInt2:
        push(static_cast<std::int64_t>(in_.unsigned_number(2)));
        break;
      case kBinInt:
        push(in_.signed_number(4));
        break;
      case kLong1:
        push(long_number());
        break;
      case kInt:
      case kLong:
        push(in_.decimal_line());
        break;
      case kFloat:
        in_.read_line();
        push(PickleObjects::Nothing{});
        break;
      case kBinFloat:
        in_.take(8);
        push(PickleObjects::Nothing{});
        break;

      case kString:
        push_text(in_.quoted_line());
        break;
      case kShortBinString:
      case kShortBinBytes:
        push_text(in_.take(in_.read_byte()));
        break;
      case kBinString:
      case kBinBytes:
        push_text(in_.take(in_.unsigned_number(4)));
        break;
      case kBinBytes8:
      case kByteArray8:
        push_text(in_.take(in_.unsigned_number(8)));
        break;
      case kUnicode:
        push_text(in_.escaped_line());
        break;
      case kShortBinUnicode:
        push_text(in_.utf8(in_.read_byte()));
        break;
      case kBinUnicode:
        push_text(in_.utf8(in_.unsigned_number(4)));
        break;
      case kBinUnicode8:
        push_text(in_.utf8(in_.unsigned_number(8)));
        break;
      default:
        return false;
    }
    return true;
  }

  /// Handles opcodes that operate on the stack and the memo.
  void rearrange(std::uint8_t opcode) {
    switch (opcode) {
      case kMark:
        marks_.push_back(stack_.size());
        break;
      case kEmptyTuple:
        push(PickleObjects::Tuple{});
        break;
      case kTuple:
        push(PickleObjects::Tuple{pop_to_mark()});
        break;
      case kTuple1:
        push(PickleObjects::Tuple{pop(1)});
        break;
      case kTuple2:
        push(PickleObjects::Tuple{pop(2)});
        break;
      case kTuple3:
        push(PickleObjects::Tuple{pop(3)});
        break;
      case kEmptyDict:
        push(PickleObjects::Dict{});
        break;
      case kDict:
        make_dict(pop_to_mark());
        break;
      case kSetItem:
        add_entries(pop(2));
        break;
      case kSetItems:
        add_entries(pop_to_mark());
        break;

      case kPut:
        memorize(in_.decimal_line());
        break;
      case kBinPut:
        memorize(in_.read_byte());
        break;
      case kLongBinPut:
        memorize(in_.signed_number(4));
        break;
      case kMemoize:
        memorize(static_cast<std::int64_t>(memo_.size()));
        break;
      case kGet:
        recall(in_.decimal_line());
        break;
      case kBinGet:
        recall(in_.read_byte());
        break;
      case kLongBinGet:
        recall(in_.signed_number(4));
        break;

      case kGlobal:
        push_text(in_.read_line());
        push_text(in_.read_line());
        [[fallthrough]];
      case kStackGlobal: {
        const Items names = pop(2);
        stack_.push_back(objects_.global(names[0], names[1]));
        break;
      }
      case kReduce: {
        const Items call = pop(2);
        stack_.push_back(objects_.reduce(call[0], call[1]));
        break;
      }
      case kBuild: {
        const Ref state = pop(1).front();
        objects_.set_state(top(), state);
        break;
      }
      default:
        in_.fail(fmt::format("opcode 0x{:02x}, which no dictionary of arrays needs", opcode));
    }
  }

  void push(PickleObjects::Object object) { stack_.push_back(objects_.add(std::move(object))); }
  void push_text(std::string_view text) { push(std::make_shared<const std::string>(text)); }

  Items pop(std::size_t count) {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor < count) in_.fail("an operation without its operands");
    const auto begin = stack_.end() - static_cast<std::ptrdiff_t>(count);
    Items items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return items;
  }
  Items pop_to_mark() {
    if (marks_.empty()) in_.fail("an operation without its operands");
    Items items = pop(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }
  Ref top() {
    const Ref object = pop(1).front();
    stack_.push_back(object);
    return object;
  }

  void make_dict(const Items& items) {
    push(PickleObjects::Dict{});
    add_entries(items);
  }
  void add_entries(const Items& items) { objects_.add_entries(top(), items); }

  void memorize(std::int64_t place) {
    if (memo_.size() == PickleObjects::kMaxObjects) in_.fail("it memoizes too many objects");
    memo_[place] = top();
  }
  void recall(std::int64_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) in_.fail("it gets an object that is not in the memo");
    stack_.push_back(found->second);
  }

  std::int64_t long_number() {
    const std::size_t width = in_.read_byte();
    if (width > sizeof(std::int64_t)) in_.fail("an integer beyond 64 bits");
    return in_.signed_number(width);
  }

  PickleStream in_;
  PickleObjects objects_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::map<std::int64_t, Ref> memo_;
};

}  // namespace

double PickledArray::at(std::int64_t row, std::int64_t column) const {
  const std::int64_t rows = shape.front(), columns = shape.size() == 1 ? 1 : shape.back();
  const auto index =
      static_cast<std::size_t>(column_major ? column * rows + row : row * columns + column);
  if (wide) {
    double value = 0.0;
    std::memcpy(&value, bytes->data() + index * sizeof value, sizeof value);
    return value;
  }
  float value = 0.0F;
  std::memcpy(&value, bytes->data() + index * sizeof value, sizeof value);
  return double{value};
}

PickledModules parse_pickled_modules(std::span<const std::byte> bytes,
                                     const std::string& source_name) {
  return Machine(bytes, source_name).run();
}

}  // namespace l2o
