#include "tests/emulation/async_copies.h"

#include <map>
#include <utility>
#include <vector>

#include "tests/emulation/emulation.h"
#include "tests/emulation/grid.h"

namespace l2o::emulation {
namespace {

struct Copy {
  std::uint32_t* shared;
  const std::uint32_t* global;
};

/// Pending copies of the running thread. Those left by a kernel that ended with a fault are
/// discarded.
std::vector<Copy>& copies() {
  static std::map<std::pair<int, int>, std::vector<Copy>> of_threads;  // block, thread
  static std::int64_t launch = 0;
  if (launch != statistics().launches) of_threads.clear();
  launch = statistics().launches;
  return of_threads[{running.block, running.index}];
}

}  // namespace

void copy_async(std::uint32_t* shared, const std::uint32_t* global) {
  constexpr std::uint32_t kNan = 0xFFFFFFFFU;
  *shared = kNan;
  copies().push_back({shared, global});
}

void wait_for_copies() {
  std::vector<Copy>& own = copies();
  if (!settings.mutations.skip_copies) {
    for (const Copy& copy : own) *copy.shared = *copy.global;
  }
  own.clear();
}

}  // namespace l2o::emulation
