// Failures of whole processes, for those who watch over them (bench/gpu/measure.py): the
// environment's L2O_EMULATION_FAILURE=KIND:KERNEL makes what launches that kernel
//
//   crash   end at once, by a signal
//   hang    never end
//   spoil   spoil the device, as an access outside of its memory does: from there on every call of
//           CUDA in this process fails
#pragma once

namespace l2o::emulation {

/// Does to the launch of a kernel what the environment says.
void inject_failure(const char* kernel);
bool device_is_spoiled();

}  // namespace l2o::emulation
