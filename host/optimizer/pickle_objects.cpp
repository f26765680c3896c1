#include "host/optimizer/pickle_objects.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace l2o {
namespace {

constexpr std::size_t kMaxName = 100;

const std::map<std::string, PickleGlobal>& known_globals() {
  static const std::map<std::string, PickleGlobal> known = {
      {"__builtin__.dict", PickleGlobal::kDict},
      {"builtins.dict", PickleGlobal::kDict},
      {"collections.defaultdict", PickleGlobal::kDefaultDict},
      {"dill.dill._load_type", PickleGlobal::kLoadType},
      {"dill._dill._load_type", PickleGlobal::kLoadType},
      {"_codecs.encode", PickleGlobal::kEncode},
      {"numpy.core.multiarray._reconstruct", PickleGlobal::kReconstruct},
      {"numpy._core.multiarray._reconstruct", PickleGlobal::kReconstruct},
      {"dill.dill._create_array", PickleGlobal::kCreateArray},
      {"dill._dill._create_array", PickleGlobal::kCreateArray},
      {"numpy.core.numeric._frombuffer", PickleGlobal::kFromBuffer},
      {"numpy._core.numeric._frombuffer", PickleGlobal::kFromBuffer},
      {"numpy.ndarray", PickleGlobal::kNdarray},
      {"numpy.dtype", PickleGlobal::kDtype},
  };
  return known;
}

}  // namespace

PickleObjects::Ref PickleObjects::add(Object object) {
  if (objects_.size() == kMaxObjects) {
    stream_.fail(fmt::format("more than {} objects", kMaxObjects));
  }
  objects_.push_back(std::move(object));
  return objects_.size() - 1;
}

template <class Kind>
Kind& PickleObjects::get(Ref object, const char* expected) {
  auto* found = std::get_if<Kind>(&objects_[object]);
  if (found == nullptr) {
    stream_.fail(fmt::format("an object of the wrong type; expected {}", expected));
  }
  return *found;
}

/// A string that keeps an error message on one line.
const std::string& PickleObjects::name(Ref object) {
  const std::string& name = text(object);
  const auto printable = [](char c) { return ' ' <= c && c <= '~'; };
  if (name.size() > kMaxName || !std::all_of(name.begin(), name.end(), printable)) {
    stream_.fail("a name that is too long or not printable");
  }
  return name;
}

bool PickleObjects::is(Ref object, PickleGlobal global) const {
  const auto* found = std::get_if<PickleGlobal>(&objects_[object]);
  return found != nullptr && *found == global;
}

void PickleObjects::add_entries(Ref dict, const Items& items) {
  if (items.size() % 2 != 0) stream_.fail("a key without a value");
  auto& entries = get<Dict>(dict, "a dictionary").entries;
  for (std::size_t i = 0; i < items.size(); i += 2) entries.emplace_back(items[i], items[i + 1]);
}

PickleObjects::Ref PickleObjects::global(Ref module, Ref name) {
  const std::string whole = this->name(module) + "." + this->name(name);
  const auto found = known_globals().find(whole);
  if (found == known_globals().end()) {
    stream_.fail(
        fmt::format("it refers to {}; only dictionaries of NumPy arrays are read, and no "
                    "code of a pickle is run",
                    whole));
  }
  return add(found->second);
}

void PickleObjects::expect(bool holds, const char* function) const {
  if (!holds) stream_.fail(fmt::format("{} with unknown arguments", function));
}

PickleObjects::Ref PickleObjects::reduce(Ref function, Ref arguments) {
  const Items& given = items(arguments);
  switch (get<PickleGlobal>(function, "a function")) {
    case PickleGlobal::kDefaultDict:
      expect(given.size() == 1 && is(given[0], PickleGlobal::kDict), "defaultdict");
      return add(Dict{});
    case PickleGlobal::kLoadType:
      return load_type(given);
    case PickleGlobal::kEncode:
      return encode(given);
    case PickleGlobal::kDtype:
      return number_type(given);
    case PickleGlobal::kReconstruct:  // shape and bytes follow as its state
      expect(given.size() == 3 && is(given[0], PickleGlobal::kNdarray), "_reconstruct");
      return add(PickledArray{});
    case PickleGlobal::kCreateArray:
      return create_array(given);
    case PickleGlobal::kFromBuffer:
      return from_buffer(given);
    case PickleGlobal::kDict:
    case PickleGlobal::kNdarray:
      break;
  }
  stream_.fail("it calls an object that is not a function");
}

PickleObjects::Ref PickleObjects::load_type(const Items& arguments) {
  expect(arguments.size() == 1, "_load_type");
  const std::string& type = name(arguments[0]);
  if (type != "dict" && type != "DictType") stream_.fail("it refers to the type " + type);
  return add(PickleGlobal::kDict);
}

PickleObjects::Ref PickleObjects::encode(const Items& arguments) {
  expect(arguments.size() == 2, "encode");
  const std::string& encoding = text(arguments[1]);
  expect(encoding == "latin1" || encoding == "latin-1", "encode");
  get<Text>(arguments[0], "a string");
  return arguments[0];  // strings are Latin-1 here
}

PickleObjects::Ref PickleObjects::number_type(const Items& arguments) {
  expect(!arguments.empty(), "dtype");
  const std::string& type = name(arguments[0]);
  if (type != "f4" && type != "f8") {
    stream_.fail(fmt::format("an array of {}; expected f4 or f8, float32 or float64", type));
  }
  return add(NumberType{.wide = type == "f8"});
}

/// (function, arguments, state, attributes)
PickleObjects::Ref PickleObjects::create_array(const Items& arguments) {
  expect(arguments.size() == 4 && is(arguments[0], PickleGlobal::kReconstruct), "_create_array");
  const Ref array = reduce(arguments[0], arguments[1]);
  set_state(array, arguments[2]);
  return array;
}

/// (bytes, type, shape, order)
PickleObjects::Ref PickleObjects::from_buffer(const Items& arguments) {
  expect(arguments.size() == 4, "_frombuffer");
  const std::string& order = text(arguments[3]);
  expect(order == "C" || order == "F", "_frombuffer");
  const Ref array = add(PickledArray{});
  fill(array, arguments[2], arguments[1], order == "F", arguments[0]);
  return array;
}

void PickleObjects::set_state(Ref object, Ref state) {
  const Items& given = items(state);
  if (std::holds_alternative<NumberType>(objects_[object])) {
    // (version, byte order, ...): the rest is for record types.
    if (given.size() < 2 || text(given[1]) != "<") {
      stream_.fail("an array that is not little-endian");
    }
    return;
  }
  // (version, shape, type, whether in Fortran order, bytes)
  get<PickledArray>(object, "an array");
  if (given.size() != 5 || integer(given[0]) != 1) stream_.fail("an array of an unknown version");
  fill(object, given[1], given[2], integer(given[3]) != 0, given[4]);
}

void PickleObjects::fill(Ref object, Ref shape, Ref type, bool column_major, Ref bytes) {
  PickledArray array;
  array.wide = get<NumberType>(type, "a number type").wide;
  array.column_major = column_major;
  array.bytes = get<Text>(bytes, "an array's bytes");
  const Items& extents = items(shape);
  if (extents.empty() || extents.size() > 2) {
    stream_.fail(fmt::format("an array of {} dimensions; expected 1 or 2", extents.size()));
  }
  std::uint64_t size = array.wide ? sizeof(double) : sizeof(float);
  for (const Ref extent : extents) {
    array.shape.push_back(integer(extent));
    // An extent beyond the bytes is wrong whatever the other one is; with this check the product
    // does not overflow.
    const auto length = static_cast<std::uint64_t>(array.shape.back());
    if (length == 0 || length > array.bytes->size()) {
      stream_.fail("an array of an impossible shape");
    }
    size *= length;
  }
  if (size != array.bytes->size()) {
    stream_.fail(fmt::format("an array of shape [{}] with {} bytes", fmt::join(array.shape, ", "),
                             array.bytes->size()));
  }
  get<PickledArray>(object, "an array") = std::move(array);
}

PickledModules PickleObjects::modules(Ref root) {
  PickledModules modules;
  std::size_t arrays = 0;
  for (const auto& [module_name, module] : get<Dict>(root, "a dictionary of modules").entries) {
    const auto [place, is_new] = modules.try_emplace(name(module_name));
    if (!is_new) stream_.fail(fmt::format("module {} occurs twice", place->first));
    for (const auto& [variable, value] : get<Dict>(module, "a dictionary of arrays").entries) {
      if (++arrays > kMaxArrays) stream_.fail(fmt::format("more than {} arrays", kMaxArrays));
      const auto& array = get<PickledArray>(value, "an array");
      if (array.bytes == nullptr) stream_.fail("an array without its values");
      if (!place->second.try_emplace(name(variable), array).second) {
        stream_.fail(fmt::format("{}/{} occurs twice", place->first, name(variable)));
      }
    }
  }
  return modules;
}

}  // namespace l2o
