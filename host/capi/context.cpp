// l2o.h: context.
#include <fmt/format.h>

#include <cstddef>
#include <functional>
#include <utility>

#include "host/capi/floating_point.h"
#include "host/capi/objects.h"

namespace l2o::capi {

std::shared_ptr<const DeviceOptimizer> Context::on_device(
    const std::shared_ptr<SharedOptimizer>& source) {
  const std::shared_ptr<const Optimizer> snapshot = source->snapshot();
  for (const Packed& entry : packed_) {
    if (entry.snapshot == snapshot) return entry.packed;
  }
  auto packed = std::make_shared<const DeviceOptimizer>(*backend_, *snapshot);
  // Rules that are gone, and the previous version of this one.
  std::erase_if(packed_, [&](const Packed& entry) {
    const std::shared_ptr<SharedOptimizer> other = entry.source.lock();
    return !other || other == source;
  });
  packed_.push_back({source, snapshot, packed});
  return packed;
}

}  // namespace l2o::capi

using namespace l2o;
using namespace l2o::capi;

namespace {

DeviceKind device_kind(l2o_backend backend) {
  switch (backend) {
    case L2O_BACKEND_AUTO:
      return DeviceKind::kAuto;
    case L2O_BACKEND_CPU:
      return DeviceKind::kCpu;
    case L2O_BACKEND_CUDA:
      return DeviceKind::kCuda;
  }
  throw Error(Status::kUsage, fmt::format("context_options.backend is {}; expected an l2o_backend",
                                          static_cast<int>(backend)));
}

Precision precision_of(l2o_precision precision) {
  switch (precision) {
    case L2O_PRECISION_MIXED:
      return Precision::kMixed;
    case L2O_PRECISION_F32:
      return Precision::kF32;
    case L2O_PRECISION_HALF:
      return Precision::kHalf;
  }
  throw Error(Status::kUsage,
              fmt::format("context_options.precision is {}; expected an l2o_precision",
                          static_cast<int>(precision)));
}

BackendOptions backend_options(const l2o_context_options& given) {
  // Version 0.1 ended with memory_limit.
  const auto options =
      current_version(given, {offsetof(l2o_context_options, is_interrupted)}, "context_options");
  if (options.device < 0) {
    throw Error(Status::kUsage,
                fmt::format("context_options.device is {}; expected 0 or more", options.device));
  }
  std::function<void()> poll;
  if (options.is_interrupted != nullptr) {
    poll = [is_interrupted = options.is_interrupted, user = options.user] {
      const DefaultFloatingPoint floating_point;  // a backward pass uses another mode
      if (is_interrupted(user) != 0) throw Error(Status::kInterrupted, "interrupted");
    };
  }
  return {.device = device_kind(options.backend),
          .threads = options.threads,
          .memory_limit = options.memory_limit,
          .poll = std::move(poll),
          .precision = precision_of(options.precision),
          .number = options.device,
          .stream = options.stream};
}

}  // namespace

#undef l2o_context_options_init

void l2o_context_options_init_sized(l2o_context_options* options, size_t size) {
  guarded([&] {
    require(options, "options");
    l2o_context_options defaults = {};
    defaults.backend = L2O_BACKEND_CPU;
    init_struct(options, size, defaults);
  });
}

void l2o_context_options_init(l2o_context_options* options) {
  l2o_context_options_init_sized(options, offsetof(l2o_context_options, is_interrupted));
}

l2o_status l2o_context_create(const l2o_context_options* options, l2o_context** context) {
  return create(context, "context", [&] {
    l2o_context_options defaults;
    l2o_context_options_init_sized(&defaults, sizeof(defaults));
    return std::make_shared<Context>(backend_options(options == nullptr ? defaults : *options));
  });
}

l2o_status l2o_context_synchronize(l2o_context* context) {
  return guarded([&] {
    const std::shared_ptr<Context> object = object_of(context);
    const Entry entry(*object);
    object->backend().synchronize();
  });
}

void l2o_context_destroy(l2o_context* context) { destroy<Context>(context); }
