#include "tests/capi/misuse.h"

#include <cmath>
#include <cstring>

namespace l2o::test {
namespace {

using W = World;

/// Returns the status of a call that creates an object, and destroys the object immediately.
template <class Handle, class Call>
l2o_status made(Choice output, const Call& call) {
  Handle* handle = nullptr;
  const l2o_status status = call(output == 0 ? &handle : nullptr);
  EXPECT_EQ(handle != nullptr, status == L2O_OK);
  destroy(handle);
  return status;
}

std::size_t meta_size(const W& w) { return l2o_optimizer_meta_parameter_count(w.optimizer(0)); }
std::size_t state_size(const W& w) { return l2o_run_state_size(w.run(0)); }

/// The status of a call that returns a size, or 0 on failure.
l2o_status not_zero(std::size_t size) { return size == 0 ? L2O_INVALID_ARGUMENT : L2O_OK; }

l2o_objective objective(Choice choice) {
  static Targets targets(1);
  l2o_objective objective = targets.objective();
  if (choice == 1) objective.size = 0;
  if (choice == 2) objective.size = SIZE_MAX;
  if (choice == 3) objective.coordinates = 0;
  if (choice == 4) objective.coordinates = SIZE_MAX;
  if (choice == 5) objective.initial_parameters = nullptr;
  if (choice == 6) objective.value_and_gradient = nullptr;
  if (choice == 7) objective.sample_batch = targets.batch_objective().sample_batch;
  if (choice == 8) objective.size -= 1;
  return objective;
}

l2o_objective batch_objective(Choice choice) {
  static Targets targets(1);
  l2o_objective objective = targets.batch_objective();
  if (choice == 1) objective.initial_parameters_batch = nullptr;
  if (choice == 2) objective.value_and_gradient_batch = nullptr;
  if (choice == 3) objective.sample = targets.objective().sample;
  if (choice == 4) objective.coordinates = 0;
  return objective;
}

l2o_step_options step_options(Choice choice) {
  l2o_step_options options;
  l2o_step_options_init(&options);
  if (choice == 1) options.size = 0;
  if (choice == 2) options.size = SIZE_MAX;
  if (choice == 3) options.update_scale = -1.0F;
  if (choice == 4) options.gradient_scale = 0.0F;
  if (choice == 5) options.weight_decay = NAN;
  if (choice == 6) options.nan_policy = static_cast<l2o_nan_policy>(-1);
  return options;
}

l2o_data data(Choice choice) {
  static const float inputs[] = {1, 2, 3, 4}, infinite[] = {1, 2, 3, HUGE_VALF};
  static const std::uint8_t bytes[] = {1, 2, 3, 4};
  static const std::int64_t labels[] = {0, 1}, negative[] = {0, -1}, large[] = {0, 65'536};
  l2o_data data;
  l2o_data_init(&data);
  data.rows = data.channels = data.classes = 2;
  data.inputs = inputs;
  data.labels = labels;
  if (choice == 2) data.size = 0;
  if (choice == 3) data.size = SIZE_MAX;
  if (choice == 4) data.rows = 0;
  if (choice == 5) data.rows = SIZE_MAX;
  if (choice == 6) data.height = 0;
  if (choice == 7) data.width = SIZE_MAX;
  if (choice == 8) data.channels = data.height = data.width = 1 << 24;
  if (choice == 9) data.inputs = nullptr;
  if (choice == 10) data.input_bytes = bytes;
  if (choice == 11) data.inputs = infinite;
  if (choice == 12) data.labels = negative;
  if (choice == 13) data.classes = 1;
  if (choice == 14) data.classes = 0, data.labels = large;
  if (choice == 15) data.targets = inputs;
  return data;
}

l2o_context_options options(Choice choice) {
  l2o_context_options options;
  l2o_context_options_init(&options);
  options.backend = L2O_BACKEND_CPU;
  options.threads = 1;
  if (choice == 1) options.size = 0;
  if (choice == 2) options.size = SIZE_MAX;
  if (choice == 3) options.backend = static_cast<l2o_backend>(-1);
  if (choice == 4) options.threads = -1;
  if (choice == 5) options.threads = 1 << 30;
  if (choice == 6) options.device = -7;
  if (choice == 7) options.precision = static_cast<l2o_precision>(17);
  return options;
}

std::vector<Function> context_and_optimizer() {
  return {
      {"l2o_context_create",
       {8, W::kPointers},
       [](W&, const auto& c) {
         const l2o_context_options chosen = options(c[0]);
         return made<l2o_context>(c[1], [&](auto out) { return l2o_context_create(&chosen, out); });
       }},
      {"l2o_context_synchronize",
       {W::kHandles},
       [](W& w, const auto& c) { return l2o_context_synchronize(w.context(c[0])); }},
      {"l2o_optimizer_create",
       {W::kTexts, W::kPointers},
       [](W&, const auto& c) {
         return made<l2o_optimizer>(c[1], [&](auto out) {
           return l2o_optimizer_create(W::text("layers = 1\nhidden = 2\n", c[0]), out);
         });
       },
       {{0, W::kNullText}}},
      {"l2o_optimizer_load",
       {W::kPaths, W::kPointers},
       [](W& w, const auto& c) {
         return made<l2o_optimizer>(
             c[1], [&](auto out) { return l2o_optimizer_load(W::path(w.model(), c[0]), out); });
       }},
      {"l2o_optimizer_load_rule",
       {W::kPaths, 3, W::kPointers},
       [](W& w, const auto& c) {
         const char* const names[] = {"conv", "", nullptr};
         return made<l2o_optimizer>(c[2], [&](auto out) {
           return l2o_optimizer_load_rule(W::path(w.model_of_two_rules(), c[0]), names[c[1]], out);
         });
       }},
      {"l2o_optimizer_save",
       {W::kHandles, W::kPaths},
       [](W& w, const auto& c) {
         return l2o_optimizer_save(w.optimizer(c[0]), W::path(w.model(), c[1]));
       }},
      {"l2o_optimizer_meta_parameter_count",
       {W::kHandles},
       [](W& w, const auto& c) {
         return not_zero(l2o_optimizer_meta_parameter_count(w.optimizer(c[0])));
       }},
      {"l2o_optimizer_state_size",
       {W::kHandles},
       [](W& w, const auto& c) { return not_zero(l2o_optimizer_state_size(w.optimizer(c[0]))); }},
      {"l2o_optimizer_description",
       {W::kHandles},
       [](W& w, const auto& c) {
         return not_zero(std::strlen(l2o_optimizer_description(w.optimizer(c[0]))));
       }},
      {"l2o_optimizer_get_meta_parameters",
       {W::kHandles, W::kPointers, W::kCounts},
       [](W& w, const auto& c) {
         return l2o_optimizer_get_meta_parameters(w.optimizer(c[0]), w.more_floats(c[1]),
                                                  W::count(meta_size(w), c[2]));
       }},
      {"l2o_optimizer_set_meta_parameters",
       {W::kHandles, W::kPointers, W::kCounts},
       [](W& w, const auto& c) {
         return l2o_optimizer_set_meta_parameters(w.optimizer(c[0]), w.floats(c[1]),
                                                  W::count(meta_size(w), c[2]));
       }},
      {"l2o_optimizer_apply_meta_gradient",
       {W::kHandles, W::kPointers, W::kCounts, 2},
       [](W& w, const auto& c) {
         return l2o_optimizer_apply_meta_gradient(w.optimizer(c[0]), w.floats(c[1]),
                                                  W::count(meta_size(w), c[2]),
                                                  c[3] == 0 ? 0.1F : -1.0F);
       }},
  };
}

std::vector<Function> run() {
  return {
      {"l2o_run_create",
       {W::kHandles, W::kHandles, W::kSizes, W::kPointers},
       [](W& w, const auto& c) {
         return made<l2o_run>(c[3], [&](auto out) {
           return l2o_run_create(w.context(c[0]), w.optimizer(c[1]), W::size(5, c[2]), out);
         });
       },
       {{2, W::kZeroSize}}},
      {"l2o_run_create_multi",
       {W::kHandles, W::kHandles, W::kPositiveSizes, W::kPointers, W::kSizes, W::kPointers},
       [](W& w, const auto& c) {
         const std::size_t sizes[] = {W::size(5, c[4]), 2};
         return made<l2o_run>(c[5], [&](auto out) {
           return l2o_run_create_multi(w.context(c[0]), w.optimizer(c[1]), W::size(2, c[2]),
                                       c[3] == 0 ? sizes : nullptr, out);
         });
       },
       {{4, W::kZeroSize}}},
      {"l2o_run_step",
       {W::kHandles, W::kPointers, W::kPointers},
       [](W& w, const auto& c) {
         return l2o_run_step(w.run(c[0]), w.floats(c[1]), w.more_floats(c[2]));
       }},
      {"l2o_run_step_multi",
       {W::kHandles, W::kCounts, W::kArrays, W::kArrays},
       [](W& w, const auto& c) {
         return l2o_run_step_multi(w.run(c[0]), W::count(1, c[1]), w.gradients(c[2]),
                                   w.parameters(c[3]));
       }},
      {"l2o_run_set_scales",
       {W::kHandles, 4, 5, 4},
       [](W& w, const auto& c) {
         const float any[] = {1.0F, -1.0F, NAN, HUGE_VALF, 0.0F};
         return l2o_run_set_scales(w.run(c[0]), any[c[1]], any[c[2]], any[c[3]]);
       }},
      {"l2o_run_reset",
       {W::kHandles},
       [](W& w, const auto& c) { return l2o_run_reset(w.run(c[0])); }},
      {"l2o_run_state_size",
       {W::kHandles},
       [](W& w, const auto& c) { return not_zero(l2o_run_state_size(w.run(c[0]))); }},
      {"l2o_run_get_state",
       {W::kHandles, W::kPointers, W::kCounts},
       [](W& w, const auto& c) {
         return l2o_run_get_state(w.run(c[0]), w.more_floats(c[1]), W::count(state_size(w), c[2]));
       }},
      {"l2o_run_set_state",
       {W::kHandles, W::kPointers, W::kCounts},
       [](W& w, const auto& c) {
         return l2o_run_set_state(w.run(c[0]), w.floats(c[1]), W::count(state_size(w), c[2]));
       }},
      {"l2o_run_set_nan_policy",
       {W::kHandles, 4},
       [](W& w, const auto& c) {
         const int policies[] = {L2O_NAN_SKIP_STEP, -1, 4, 1 << 30};
         return l2o_run_set_nan_policy(w.run(c[0]), static_cast<l2o_nan_policy>(policies[c[1]]));
       }},
      {"l2o_run_skipped_steps",
       {W::kHandles, W::kPointers},
       [](W& w, const auto& c) {
         std::uint64_t steps = 0;
         return l2o_run_skipped_steps(w.run(c[0]), c[1] == 0 ? &steps : nullptr);
       }},
      {"l2o_state_bytes",
       {W::kHandles, W::kHandles, W::kPositiveSizes},
       [](W& w, const auto& c) {
         // Even a size beyond the machine's memory is valid here; SIZE_MAX is not.
         const std::size_t n = c[2] == 1 ? SIZE_MAX : W::size(5, c[2]);
         return not_zero(l2o_state_bytes(w.context(c[0]), w.optimizer(c[1]), n));
       }},
      {"l2o_step",
       {W::kHandles, W::kHandles, W::kTensors, 3, 7},
       [](W& w, const auto& c) {
         const l2o_tensor tensor = w.tensor(c[2]);
         const l2o_step_options options = step_options(c[4]);
         return l2o_step(w.context(c[0]), w.optimizer(c[1]), c[3] == 2 ? SIZE_MAX : 1,
                         c[3] == 1 ? nullptr : &tensor, &options);
       }},
      {"l2o_meta_gradient",
       {W::kHandles, W::kHandles, W::kPositiveSizes, W::kPositiveSizes, W::kPointers, W::kPointers,
        W::kPointers, W::kPointers},
       [](W& w, const auto& c) {
         return l2o_meta_gradient(w.context(c[0]), w.optimizer(c[1]), W::size(W::kN, c[2]),
                                  W::size(2, c[3]), w.floats(c[4]), w.floats(c[5]), w.floats(c[6]),
                                  w.more_floats(c[7]));
       },
       {{6, W::kNull}}},
  };
}

std::vector<Function> training() {
  return {
      {"l2o_optimizee_create",
       {W::kHandles, W::kTexts, W::kSizes, W::kPointers},
       [](W& w, const auto& c) {
         return made<l2o_optimizee>(c[3], [&](auto out) {
           return l2o_optimizee_create(w.context(c[0]), W::text("name = \"simple\"", c[1]),
                                       W::size(2, c[2]), nullptr, out);
         });
       }},
      {"l2o_optimizee_create_callback",
       {W::kHandles, 9, W::kSizes, W::kPointers},
       [](W& w, const auto& c) {
         const l2o_objective chosen = objective(c[1]);
         return made<l2o_optimizee>(c[3], [&](auto out) {
           return l2o_optimizee_create_callback(w.context(c[0]), &chosen, W::size(1, c[2]), out);
         });
       }},
      {"l2o_optimizee_create_callback",
       {5, W::kPointers},
       [](W& w, const auto& c) {
         const l2o_objective chosen = batch_objective(c[0]);
         return made<l2o_optimizee>(c[1], [&](auto out) {
           return l2o_optimizee_create_callback(w.context(0), &chosen, 1, out);
         });
       }},
      {"l2o_optimizee_create_with_data",
       {W::kHandles, W::kTexts, W::kSizes, 16, W::kPointers},
       [](W& w, const auto& c) {
         const l2o_data chosen = data(c[3]);
         return made<l2o_optimizee>(c[4], [&](auto out) {
           return l2o_optimizee_create_with_data(
               w.context(c[0]), W::text("name = \"network\"\n", c[1]), W::size(1, c[2]),
               c[3] == 1 ? nullptr : &chosen, out);
         });
       }},
      {"l2o_trainer_create",
       {W::kHandles, W::kTexts, W::kHandles, W::kPointers},
       [](W& w, const auto& c) {
         return made<l2o_trainer>(c[3], [&](auto out) {
           return l2o_trainer_create(w.context(c[0]), W::text(W::kTraining, c[1]),
                                     w.optimizee(c[2]), out);
         });
       },
       {{1, W::kNullText}}},
      {"l2o_trainer_step",
       {W::kHandles, 3},
       [](W& w, const auto& c) {
         l2o_train_report report;
         l2o_train_report_init(&report);
         if (c[1] == 1) report.size = 0;
         if (c[1] == 2) report.size = SIZE_MAX;
         return l2o_trainer_step(w.trainer(c[0]), &report);
       }},
      {"l2o_trainer_optimizer",
       {W::kHandles, W::kPointers},
       [](W& w, const auto& c) {
         return made<l2o_optimizer>(
             c[1], [&](auto out) { return l2o_trainer_optimizer(w.trainer(c[0]), out); });
       }},
      {"l2o_trainer_save",
       {W::kHandles, W::kPaths},
       [](W& w, const auto& c) {
         return l2o_trainer_save(w.trainer(c[0]), W::path(w.checkpoint(), c[1]));
       }},
      {"l2o_trainer_resume",
       {W::kHandles, W::kPaths},
       [](W& w, const auto& c) {
         return l2o_trainer_resume(w.trainer(c[0]), W::path(w.checkpoint(), c[1]));
       }},
      {"l2o_evaluate",
       {W::kHandles, W::kHandles, W::kHandles, W::kSizes, W::kPointers, W::kCounts},
       [](W& w, const auto& c) {
         return l2o_evaluate(w.context(c[0]), w.optimizer(c[1]), w.optimizee(c[2]), 1, 0,
                             W::size(3, c[3]), w.more_floats(c[4]), W::count(2 * 4, c[5]));
       }},
  };
}

}  // namespace

std::vector<Function> functions() {
  std::vector<Function> all = context_and_optimizer();
  for (auto* part : {&run, &training}) {
    for (Function& function : part()) all.push_back(std::move(function));
  }
  return all;
}

}  // namespace l2o::test
