// Failures of whole processes, for tests of programs that supervise them (bench/gpu/measure.py):
// with the environment variable L2O_EMULATION_FAILURE=KIND:KERNEL, a launch of that kernel makes
// the process
//
//   crash   end immediately, by a signal
//   hang    never end
//   spoil   corrupt the device, like an access outside of its memory: from then on every call of
//           CUDA in this process fails
#pragma once

namespace l2o::emulation {

/// Does what the environment variable says to the launch of a kernel.
void inject_failure(const char* kernel);
bool device_is_spoiled();

}  // namespace l2o::emulation
