// The objects that a pickle can create, and the functions that replace the calls in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "host/optimizer/pickle.h"
#include "host/optimizer/pickle_stream.h"

namespace l2o {

/// The globals that a pickle may refer to; pickle_objects.cpp has the names.
enum class PickleGlobal {
  kDict,
  kDefaultDict,
  kLoadType,  ///< dill's: a type by its name
  kEncode,    ///< a string as bytes
  kReconstruct,
  kCreateArray,  ///< dill's: kReconstruct and its state at once
  kFromBuffer,
  kNdarray,
  kDtype,
};

class PickleObjects {
 public:
  using Ref = std::size_t;  ///< an index; objects are never removed
  using Items = std::vector<Ref>;

  struct Nothing {};                                ///< None, and numbers that are never needed
  using Text = std::shared_ptr<const std::string>;  ///< str or bytes
  struct Tuple {
    Items items;
  };
  struct Dict {
    std::vector<std::pair<Ref, Ref>> entries;
  };
  struct NumberType {
    bool wide;
  };
  using Object = std::variant<Nothing, std::int64_t, Text, Tuple, Dict, PickleGlobal, NumberType,
                              PickledArray>;

  /// A saved network has a few hundred objects and eight arrays; the bounds limit the cost of
  /// hostile bytes.
  static constexpr std::size_t kMaxObjects = std::size_t{1} << 16;
  static constexpr std::size_t kMaxArrays = 64;

  /// Errors are reported through the stream, which must outlive this object.
  explicit PickleObjects(const PickleStream& stream) : stream_(stream) {}

  Ref add(Object object);
  /// `items` are alternating keys and values.
  void add_entries(Ref dict, const Items& items);
  /// The object that MODULE.NAME refers to.
  Ref global(Ref module, Ref name);
  /// function(*arguments)
  Ref reduce(Ref function, Ref arguments);
  /// object.__setstate__(state)
  void set_state(Ref object, Ref state);
  /// Converts the root to the result of parse_pickled_modules().
  PickledModules modules(Ref root);

 private:
  template <class Kind>
  Kind& get(Ref object, const char* expected);
  const std::string& text(Ref object) { return *get<Text>(object, "a string"); }
  const Items& items(Ref object) { return get<Tuple>(object, "a tuple").items; }
  std::int64_t integer(Ref object) { return get<std::int64_t>(object, "an integer"); }
  const std::string& name(Ref object);
  bool is(Ref object, PickleGlobal global) const;

  void expect(bool holds, const char* function) const;
  Ref load_type(const Items& arguments);
  Ref encode(const Items& arguments);
  Ref number_type(const Items& arguments);
  Ref create_array(const Items& arguments);
  Ref from_buffer(const Items& arguments);
  void fill(Ref object, Ref shape, Ref type, bool column_major, Ref bytes);

  const PickleStream& stream_;
  std::deque<Object> objects_;  // never moved: references to them stay valid
};

}  // namespace l2o
