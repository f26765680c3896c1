// The objects behind the handles of l2o.h. An object shares ownership of what it was made from, so
// that handles may be destroyed in any order.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/backend/backend.h"
#include "host/backend/buffer.h"
#include "host/capi/arguments.h"
#include "host/capi/guard.h"
#include "host/capi/handles.h"
#include "host/core/error.h"
#include "host/include/l2o/l2o.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"
#include "host/optimizer/optimizer.h"

namespace l2o::capi {

class SharedOptimizer;

/// Memory shared by the steps of a context; it grows to the size needed by the largest step.
struct StepScratch {
  Buffer<std::int64_t> not_finite;  // [tensors]
  std::vector<std::int64_t> host_not_finite;
  Buffer<float> cleaned;  // [n of the largest tensor], for L2O_NAN_ZERO only
};

class Context final : public Object {
 public:
  static constexpr const char* kKind = "context";
  const char* kind() const override { return kKind; }

  explicit Context(const BackendOptions& options) : backend_(make_backend(options)) {}
  Backend& backend() { return *backend_; }
  /// The optimizer on the device with its current meta-parameters, packed once and shared by all
  /// callers. Requires an Entry.
  std::shared_ptr<const DeviceOptimizer> on_device(const std::shared_ptr<SharedOptimizer>& source);
  StepScratch& step_scratch() { return step_scratch_; }

 private:
  friend class Entry;
  struct Packed {
    std::weak_ptr<SharedOptimizer> source;
    // The optimizer that was packed; held so that its address is not reused.
    std::shared_ptr<const Optimizer> snapshot;
    std::shared_ptr<const DeviceOptimizer> packed;
  };

  std::unique_ptr<Backend> backend_;  // declared before the members that use its memory
  std::vector<Packed> packed_;        // an entry for each optimizer in use
  StepScratch step_scratch_;
  std::atomic<bool> entered_{false};
};

/// A call inside a context, through any of its objects: one at a time.
class Entry {
 public:
  /// Throws kBusy if another call is inside.
  explicit Entry(Context& context) : context_(context) {
    if (context_.entered_.exchange(true, std::memory_order_acquire)) {
      throw Error(
          Status::kBusy,
          "the context is in use by another thread, or by the call that made this callback; "
          "give each thread its own context");
    }
  }
  ~Entry() { context_.entered_.store(false, std::memory_order_release); }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  Context& context_;
};

/// A rule that any number of threads share. Users take a snapshot, which never changes.
class SharedOptimizer final : public Object {
 public:
  static constexpr const char* kKind = "optimizer";
  const char* kind() const override { return kKind; }

  explicit SharedOptimizer(Optimizer optimizer);
  ~SharedOptimizer() override;

  std::shared_ptr<const Optimizer> snapshot() const;
  const std::string& description() const { return description_; }
  void set_meta_parameters(std::span<const float> values);
  /// Throws kNotFinite if the gradient is not finite or its norm is above 1.8e19, or if phi would
  /// become non-finite. Whatever it throws, nothing has changed.
  void apply_meta_gradient(std::span<const float> meta_gradient, float learning_rate);

 private:
  /// The old trained_on is dropped: that configuration did not produce this phi.
  void publish(std::vector<float> meta_parameters);

  struct Adam;
  std::mutex writer_mutex_;  // held by one writer at a time; acquired before mutex_
  std::unique_ptr<Adam> adam_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Optimizer> current_;
  std::string description_;  // description of the settings, which never change
};

class OptimizeeObject final : public Object {
 public:
  static constexpr const char* kKind = "optimizee";
  const char* kind() const override { return kKind; }

  /// config: the resolved configuration; empty for a caller's objective.
  OptimizeeObject(std::shared_ptr<Context> context, std::unique_ptr<Optimizee> optimizee,
                  std::string config)
      : context_(std::move(context)),
        optimizee_(std::move(optimizee)),
        config_(std::move(config)) {}
  const std::shared_ptr<Context>& context() const { return context_; }
  Optimizee& optimizee() { return *optimizee_; }
  const std::string& config() const { return config_; }

 private:
  std::shared_ptr<Context> context_;
  std::unique_ptr<Optimizee> optimizee_;
  std::string config_;
};

inline std::shared_ptr<Context> object_of(const l2o_context* handle) {
  return find_object_of<Context>(handle);
}
inline std::shared_ptr<SharedOptimizer> object_of(const l2o_optimizer* handle) {
  return find_object_of<SharedOptimizer>(handle);
}
inline std::shared_ptr<OptimizeeObject> object_of(const l2o_optimizee* handle) {
  return find_object_of<OptimizeeObject>(handle);
}

/// Objects that are used together must be in one context.
inline void require_same_context(const Context& context, const OptimizeeObject& optimizee) {
  if (optimizee.context().get() != &context) {
    throw Error(Status::kUsage, "the optimizee was made in another context");
  }
}

/// Makes an object with `make` and returns its handle to the caller; NULL on failure.
template <class Handle, class Make>
l2o_status create(Handle** handle, const char* name, Make&& make) noexcept {
  return guarded([&] {
    require(handle, name);
    *handle = nullptr;
    *handle = static_cast<Handle*>(add_handle(make()));
  });
}

/// Does nothing for NULL, and for a handle that is not in use or of another kind.
template <class T>
void destroy(const void* handle) noexcept {
  if (handle == nullptr) return;
  guarded([&] {
    find_object_of<T>(handle);
    remove_handle(handle);
  });
}

}  // namespace l2o::capi
