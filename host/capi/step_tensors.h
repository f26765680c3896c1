// One step of a rule on tensors that lie anywhere: what l2o_step and runs are made of.
#pragma once

#include <span>

#include "host/capi/objects.h"

namespace l2o::capi {

/// How a step is taken.
struct StepRequest {
  StepScales scales;
  l2o_nan_policy nan_policy = L2O_NAN_SKIP_STEP;
};

/// Throws kUsage unless the policy is one.
void require_nan_policy(l2o_nan_policy policy, const char* name);

/// Steps every tensor, in context memory. False where L2O_NAN_SKIP_STEP left the step out; throws
/// kNotFinite under L2O_NAN_ERROR. Requires an Entry.
bool step_tensors(Context& context, const DeviceOptimizer& optimizer,
                  std::span<const l2o_tensor> tensors, const StepRequest& request);

}  // namespace l2o::capi
