// The operations of peer_worker, by name: those that peers/compare.py times, on the engine.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"

namespace l2o {

class PeerOperation {
 public:
  virtual ~PeerOperation() = default;
  /// Makes `calls` calls and waits for the last one.
  virtual void run(int calls) = 0;
  /// Starts afresh and returns the results described in peers/worker.py.
  virtual std::vector<float> results() = 0;
};

/// Coordinates first .. first + n - 1 of the problem stored in a directory (peers/problem.py).
struct PeerProblem {
  std::string directory;
  std::size_t first = 0;
  std::size_t n = 0;
};

/// name: "step", "unroll_backward", or "mnist_episode", which has its own problem. Throws kUsage
/// for any other name.
std::unique_ptr<PeerOperation> make_peer_operation(Backend& backend, const std::string& name,
                                                   const PeerProblem& problem);

}  // namespace l2o
