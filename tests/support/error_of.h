// Returns the error that a call throws, as a value.
#pragma once

#include <string>

#include "host/core/error.h"

namespace l2o {

struct ThrownError {
  Status status = Status::kOk;  ///< kOk: nothing was thrown
  std::string message;

  bool says(const std::string& text) const { return message.find(text) != std::string::npos; }
};

template <class Call>
ThrownError error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.status(), error.what()};
  }
  return {};
}

}  // namespace l2o
