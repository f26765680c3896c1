// Checks what all ranks of a run must have in common for their results to be consistent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/comm/communicator.h"
#include "host/core/error.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

struct Trait {
  std::string name;    ///< "the configuration"
  std::uint64_t hash;  ///< equal if the trait is equal
};

/// Throws an Error with this status at every rank if any rank differs from rank 0 in a trait. The
/// error names the first such trait and the ranks. Collective.
void require_same(Communicator& ranks, const std::vector<Trait>& traits,
                  Status status = Status::kUsage);

/// Hash of everything that determines a model's steps: its rules and their parameter groups.
std::uint64_t model_hash(const Model& model);
/// The properties that all ranks must share, whatever they compute.
std::vector<Trait> traits_of_run(const Backend& backend, const std::string& configuration,
                                 std::uint64_t data_hash);

}  // namespace l2o
