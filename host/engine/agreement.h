// What all ranks of a run must have in common, for their results to be one result.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/comm/communicator.h"
#include "host/core/error.h"

namespace l2o {

struct Trait {
  std::string name;    ///< "the configuration"
  std::uint64_t hash;  ///< the same where it is the same
};

/// Throws an Error of that status, at every rank, where ranks differ from rank 0 in one of the
/// traits: of which the first is named, with the ranks. Collective.
void require_same(Communicator& ranks, const std::vector<Trait>& traits,
                  Status status = Status::kUsage);

/// The program that runs.
std::uint64_t build_hash();
/// How this processor is set to compute: rounding, and what becomes of denormal numbers.
std::uint64_t floating_point_hash();

}  // namespace l2o
