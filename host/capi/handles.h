// Handles. A caller holds not a pointer but a number that is never reused, so that a handle that is
// NULL, destroyed, of another kind or arbitrary is recognized without accessing memory.
#pragma once

#include <memory>

namespace l2o::capi {

/// The object behind a handle.
class Object {
 public:
  virtual ~Object() = default;
  /// Its name in messages: "run".
  virtual const char* kind() const = 0;
};

/// Registers the object; the table keeps it alive until remove_handle().
void* add_handle(std::shared_ptr<Object> object);
/// Returns the object, which stays alive at least as long as the returned pointer. Throws kUsage,
/// naming `kind`, if the handle is NULL or not in use.
std::shared_ptr<Object> find_object(const void* handle, const char* kind);
/// Removes the handle permanently, and releases the table's share of the object.
void remove_handle(const void* handle);
/// Throws kUsage: `object` is not of the expected kind.
[[noreturn]] void throw_wrong_kind(const Object& object, const char* expected);

template <class T>
std::shared_ptr<T> find_object_of(const void* handle) {
  const std::shared_ptr<Object> object = find_object(handle, T::kKind);
  std::shared_ptr<T> typed = std::dynamic_pointer_cast<T>(object);
  if (!typed) throw_wrong_kind(*object, T::kKind);
  return typed;
}

}  // namespace l2o::capi
