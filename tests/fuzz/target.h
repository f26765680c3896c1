// The interface of a fuzz target: the function that <target>_fuzz.cpp defines. libFuzzer calls it
// with generated inputs (libfuzzer.cpp), the tests with the stored corpus (replay_main.cpp).
#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

#include "host/core/error.h"

namespace l2o {

/// Reads `bytes` as a file of the target's format. Throws l2o::Error if they are not such a file;
/// any other exception, or a sanitizer report, is a bug.
void read_input(std::span<const std::byte> bytes);

/// Returns step(). For steps that follow after an input was accepted, such as writing it again: an
/// l2o::Error there is not a rejection of the input but a bug.
template <class Step>
auto must_succeed(const std::string& description, const Step& step) {
  try {
    return step();
  } catch (const Error& error) {
    throw std::logic_error(description + " failed: " + error.what());
  }
}

}  // namespace l2o
