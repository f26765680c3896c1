// Copies to shared memory that a thread starts and later waits for. They are executed as late as
// possible: until then the destination holds NaN.
#pragma once

#include <cstdint>

namespace l2o::emulation {

void copy_async(std::uint32_t* shared, const std::uint32_t* global);
/// Executes the copies of the running thread.
void wait_for_copies();

}  // namespace l2o::emulation
