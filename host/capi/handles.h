// Handles. What a caller holds is no address but a number that is never given out twice, so that a
// handle which is NULL, destroyed, of another kind or made up is recognised without touching
// memory.
#pragma once

#include <memory>

namespace l2o::capi {

/// What a handle stands for.
class Object {
 public:
  virtual ~Object() = default;
  /// What messages call it: "run".
  virtual const char* kind() const = 0;
};

/// Registers the object; the table keeps it alive until remove_handle().
void* add_handle(std::shared_ptr<Object> object);
/// The object, which stays alive at least as long as the pointer returned. Throws kUsage, naming
/// `kind`, where the handle is NULL or not in use.
std::shared_ptr<Object> find_object(const void* handle, const char* kind);
/// Frees the handle for good, and gives up the table's share of the object.
void remove_handle(const void* handle);
/// Throws kUsage: `object` is not of the kind that is expected.
[[noreturn]] void throw_wrong_kind(const Object& object, const char* expected);

template <class T>
std::shared_ptr<T> find_object_of(const void* handle) {
  const std::shared_ptr<Object> object = find_object(handle, T::kKind);
  std::shared_ptr<T> typed = std::dynamic_pointer_cast<T>(object);
  if (!typed) throw_wrong_kind(*object, T::kKind);
  return typed;
}

}  // namespace l2o::capi
