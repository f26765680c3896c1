// What a fuzz target is: the one function that <target>_fuzz.cpp defines. libFuzzer calls it with
// inputs of its own making (libfuzzer.cpp), the tests with the kept corpus (replay_main.cpp).
#pragma once

#include <cstddef>
#include <span>

namespace l2o {

/// Reads `bytes` as the file that the target is about. Throws l2o::Error where they are not such a
/// file; anything else that comes out, or that a sanitizer says, is a bug.
void read_input(std::span<const std::byte> bytes);

}  // namespace l2o
