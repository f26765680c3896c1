// What an exception means for the program.
#pragma once

#include <string>

#include "host/core/error.h"

namespace l2o::cli {

struct Failure {
  Status status;        ///< the exit code
  std::string message;  ///< without "l2o: "; empty: there is nobody to tell
};

/// Of the exception that is being handled.
Failure current_failure();

}  // namespace l2o::cli
