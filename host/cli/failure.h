// The exit code and message for an exception.
#pragma once

#include <string>

#include "host/core/error.h"

namespace l2o::cli {

struct Failure {
  Status status;        ///< the exit code
  std::string message;  ///< without "l2o: "; empty: print nothing
};

/// Describes the exception that is being handled.
Failure current_failure();

/// Prints the failure's message, if it has one, after `prefix`.
void report(const Failure& failure, const std::string& prefix = "l2o: ");

}  // namespace l2o::cli
