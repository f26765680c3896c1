// Checks and preparations of a training run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/comm/communicator.h"
#include "host/engine/task_config.h"
#include "host/engine/training_config.h"
#include "host/meta/coordinate_space.h"
#include "host/meta/unroll.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

/// Returns one line that describes the memory of a run before it starts.
std::string memory_plan(const Backend& backend, const UnrollMemory& memory);

/// Initializes the rules with the meta-parameters of an earlier model, which has a single rule,
/// used for each of them, or the same rules. Throws kUsage, naming `path`, if they do not fit.
void start_from(const Model& earlier, const std::string& path, Model& initial);

/// Throws kUsage if the run needs more than 2^32 tasks of a member: task numbers have 32 bits, and
/// no two episodes may share a task.
void check_task_numbers(const TrainingConfig& config, int tasks_of_member);

/// Returns the divisors of the members' losses; collective.
std::vector<double> scales_of(Backend& backend, const std::vector<MemberConfig>& configs,
                              const std::vector<Member>& members, const std::string& data_directory,
                              const TrainingConfig& config, Communicator& ranks);

}  // namespace l2o
