// The interface of a fuzz target: the function that <target>_fuzz.cpp defines. libFuzzer calls it
// with generated inputs (libfuzzer.cpp), the tests with the stored corpus (replay_main.cpp).
#pragma once

#include <cstddef>
#include <span>

namespace l2o {

/// Reads `bytes` as a file of the target's format. Throws l2o::Error if they are not such a file;
/// any other exception, or a sanitizer report, is a bug.
void read_input(std::span<const std::byte> bytes);

}  // namespace l2o
