#include "host/cli/failure.h"

#include <exception>
#include <new>

#include "host/cli/output.h"

namespace l2o::cli {

Failure current_failure() {
  try {
    throw;
  } catch (const BrokenPipe&) {
    return {Status::kInputOutput, ""};  // the reader closed the pipe on purpose
  } catch (const Error& error) {
    return {error.status(), error.what()};
  } catch (const std::bad_alloc&) {
    return {Status::kOutOfMemory, "out of memory"};
  } catch (const std::exception& error) {
    return {Status::kInternal, std::string("internal error: ") + error.what()};
  } catch (...) {
    return {Status::kInternal, "internal error: an unknown exception"};
  }
}

void report(const Failure& failure, const std::string& prefix) {
  if (!failure.message.empty()) say(prefix + failure.message);
}

}  // namespace l2o::cli
