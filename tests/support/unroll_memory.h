// Compares the planned memory of an Unroll with what it allocates.
#pragma once

#include <gtest/gtest.h>

#include "host/meta/unroll.h"

namespace l2o::test {

/// Checks an unroll of 20 of 50 steps with an LSTM of two layers of 20 units; returns the plan.
inline UnrollMemory expect_unroll_takes_its_plan(Backend& backend, Optimizee& task) {
  CellConfig cell;
  cell.lstm = {.layers = 2, .hidden = 20};
  const Truncation truncation{.num_steps = 50, .unroll_length = 20};
  const std::vector<Member> members = {{.optimizee = &task}};
  const UnrollMemory plan = Unroll::memory(backend, {cell}, members, truncation, 0);
  const std::size_t before = backend.memory_in_use();
  const Unroll unroll(backend, {cell}, members, truncation, {}, 0);
  const auto taken = static_cast<double>(backend.memory_in_use() - before);
  EXPECT_NEAR(taken / static_cast<double>(plan.total()), 1.0, 0.02);
  return plan;
}

}  // namespace l2o::test
