// An optimizee: the functions that an optimizer is trained on and run on.
//
// One Optimizee object is a batch of B tasks of the same shape, whose parameters are in backend
// memory, arranged by its layout. value_and_gradient() does not wait for the device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/core/config.h"
#include "host/optimizee/parameter_layout.h"

namespace l2o {

struct DataSet;

/// The tasks of a batch: numbers first .. first + B - 1 of the stream `seed`. The same task
/// is the same function with the same theta_0 and minibatches in any batch.
struct TaskRange {
  std::uint64_t seed = 0;
  std::uint32_t first = 0;
};

class Optimizee {
 public:
  virtual ~Optimizee() = default;

  /// The parameters of one task, and the layout of any ParameterBlocks.
  const ParameterLayout& layout() const { return layout_; }
  /// Appends a parameter, like ParameterLayout::add(). A constructor adds those of its function;
  /// the function ignores any that are added from outside. Call before assign_groups().
  int add_parameter(const std::string& name, const std::vector<std::int64_t>& shape) {
    return layout_.add(name, shape);
  }
  /// Assigns the parameters to groups (initially there is one), with tasks that begin at multiples
  /// of `alignment`; the functions below leave the padding alone. Call before them.
  void assign_groups(const std::vector<ParameterGroup>& groups, std::int64_t alignment = 1) {
    layout_.assign(groups, alignment);
    groups_assigned(groups, alignment);
  }
  /// Coordinates of one task.
  std::int64_t coordinates() const { return layout().size(); }
  /// B, the tasks of this batch.
  virtual int tasks() const = 0;

  /// Draws the tasks: data, targets. Call before anything else, and again for each new batch.
  virtual void sample(const TaskRange& range) = 0;
  /// Writes theta_0 of every task.
  virtual void initial_parameters(ParameterBlocks theta) = 0;
  /// The following evaluations are those of the episode from number `first` on.
  virtual void start_evaluations(std::uint32_t first) = 0;
  /// loss [B] = f(theta) of every task and gradient = d loss / d theta, overwritten. `evaluation`
  /// counts from the last start_evaluations(): each one has its own minibatch.
  virtual void value_and_gradient(ConstParameterBlocks theta, std::uint32_t evaluation, float* loss,
                                  ParameterBlocks gradient) = 0;
  /// Identifies the data set that the tasks are drawn from; 0 if there is none.
  virtual std::uint64_t data_fingerprint() const { return 0; }
  /// The files that this data set was read from.
  virtual std::vector<std::string> data_files() const { return {}; }
  /// Whether value_and_gradient() queues the same ops each time, so that Backend::run() may record
  /// it: except for its arguments, nothing depends on the tasks or on start_evaluations().
  virtual bool is_recordable() const { return true; }

 private:
  /// Called when the layout changed: for an optimizee that has memory of its shape, or wraps
  /// another.
  virtual void groups_assigned(const std::vector<ParameterGroup>& /*groups*/,
                               std::int64_t /*alignment*/) {}

  ParameterLayout layout_;
};

/// The arguments of a factory. A factory reads its keys from `options`, so that every key is
/// declared in the one file of its optimizee.
struct OptimizeeContext {
  Backend& backend;
  int tasks;             ///< B
  std::string data_dir;  ///< where the data sets are; empty: not given
  /// If the configuration does not select a split of a data set, use its test split, if it has one,
  /// rather than its training split.
  bool held_out = false;
  /// The caller's arrays, selected by data = "arrays"; null: there are none.
  const DataSet* arrays = nullptr;
};

struct OptimizeeEntry {
  std::string name;     ///< its name in configurations
  std::string summary;  ///< one line for --help
  std::unique_ptr<Optimizee> (*make)(const OptimizeeContext& context, ConfigReader& options);
};

/// The list of optimizees (registry.cpp).
const std::vector<OptimizeeEntry>& optimizee_registry();

/// Makes the optimizee named by options.name (required); unknown names are kUsage errors that list
/// the known ones. The caller calls options.finish().
std::unique_ptr<Optimizee> make_optimizee(const OptimizeeContext& context, ConfigReader& options);

}  // namespace l2o
