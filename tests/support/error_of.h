// The error that a call throws, as a value, and the usual expectations of it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

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

/// Expects `call` to throw an Error with this status whose message contains all of `parts`.
template <class Call>
void expect_error(Status status, const std::vector<std::string>& parts, Call&& call) {
  const ThrownError error = error_of(call);
  EXPECT_EQ(error.status, status) << error.message;
  for (const std::string& part : parts) {
    EXPECT_TRUE(error.says(part)) << '"' << part << "\" is not in: " << error.message;
  }
}

}  // namespace l2o
