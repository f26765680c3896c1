// l2o_step as an XLA custom call, for l2o.jax. Compiled with the wheel if jax is installed. It is
// not linked with libl2o: l2o.jax, which has loaded that, passes the functions.
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "l2o/l2o.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

struct Library {
  decltype(&l2o_context_create) context_create;
  decltype(&l2o_state_bytes) state_bytes;
  decltype(&l2o_step) step;
  decltype(&l2o_step_options_init) step_options_init;
  decltype(&l2o_last_error_message) last_error_message;
};

std::mutex mutex;  // protects everything here
Library library = {};
// A compiled function may outlive its process, in a cache, so it identifies rules by their content.
std::map<std::string, l2o_optimizer*, std::less<>> optimizers;
std::vector<l2o_context*> free_contexts;  // XLA may run calls concurrently: one context each

ffi::Error error(const std::string& message) {
  return ffi::Error(ffi::ErrorCode::kInvalidArgument, "l2o: " + message);
}

/// A context for one call.
class Lease {
 public:
  Lease() {
    {
      const std::lock_guard lock(mutex);
      if (!free_contexts.empty()) {
        context_ = free_contexts.back();
        free_contexts.pop_back();
      }
    }
    if (context_ == nullptr) library.context_create(nullptr, &context_);
  }
  ~Lease() {
    const std::lock_guard lock(mutex);
    if (context_ != nullptr) free_contexts.push_back(context_);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  l2o_context* get() const { return context_; }

 private:
  l2o_context* context_ = nullptr;
};

/// arguments: k gradients, k states, scales [2] of updates and gradients; results: k updates, k
/// states, and [] 1 if the step was taken, else 0.
ffi::Error step(ffi::RemainingArgs arguments, ffi::RemainingRets results,
                std::string_view fingerprint, std::int32_t nan_policy) {
  const std::size_t count = (arguments.size() - 1) / 2;
  if (arguments.size() != 2 * count + 1 || results.size() != 2 * count + 1) {
    return error("wrong number of arrays");
  }
  l2o_optimizer* optimizer = nullptr;
  {
    const std::lock_guard lock(mutex);
    const auto found = optimizers.find(fingerprint);
    if (found != optimizers.end()) optimizer = found->second;
  }
  if (optimizer == nullptr) {
    return error("the function was compiled for a rule that this process has not loaded");
  }
  const Lease context;
  if (context.get() == nullptr) return error(library.last_error_message());

  std::vector<l2o_tensor> tensors;
  for (std::size_t i = 0; i < count; ++i) {
    const auto gradient = *arguments.get<ffi::AnyBuffer>(i);
    const auto state = *arguments.get<ffi::AnyBuffer>(count + i);
    auto update = *results.get<ffi::AnyBuffer>(i);
    auto next = *results.get<ffi::AnyBuffer>(count + i);
    const std::size_t n = gradient.element_count();
    if (state.size_bytes() != library.state_bytes(context.get(), optimizer, n)) {
      return error("the size of a state does not match its gradient and the rule");
    }
    std::memset(update->untyped_data(), 0, update->size_bytes());
    if (next->untyped_data() != state.untyped_data()) {
      std::memcpy(next->untyped_data(), state.untyped_data(), state.size_bytes());
    }
    tensors.push_back({n, static_cast<const float*>(gradient.untyped_data()),
                       static_cast<float*>(update->untyped_data()), next->untyped_data()});
  }
  const auto* scales =
      static_cast<const float*>(arguments.get<ffi::AnyBuffer>(2 * count)->untyped_data());
  std::uint64_t skipped = 0;
  l2o_step_options options;
  library.step_options_init(&options);
  options.update_scale = scales[0];
  options.gradient_scale = scales[1];
  options.nan_policy = static_cast<l2o_nan_policy>(nan_policy);
  options.skipped_steps = &skipped;
  if (library.step(context.get(), optimizer, tensors.size(), tensors.data(), &options) != L2O_OK) {
    return error(library.last_error_message());
  }
  auto taken = *results.get<ffi::AnyBuffer>(2 * count);
  *static_cast<float*>(taken->untyped_data()) = skipped == 0 ? 1.0F : 0.0F;
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(l2o_jax_step, step,
                              ffi::Ffi::Bind()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<std::string_view>("fingerprint")
                                  .Attr<std::int32_t>("nan_policy"));

extern "C" {

/// Sets the functions of libl2o, in the order of Library's members.
void l2o_jax_set_library(const void* const* functions) {
  const std::lock_guard lock(mutex);
  std::memcpy(&library, functions, sizeof(library));
}

/// Adds an optimizer, which must live as long as the process.
void l2o_jax_add_optimizer(const char* fingerprint, l2o_optimizer* optimizer) {
  const std::lock_guard lock(mutex);
  optimizers[fingerprint] = optimizer;
}
}
