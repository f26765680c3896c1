// An optimizee: the functions that an optimizer is trained on and run on.
//
// One Optimizee object is a batch of B tasks of the same shape, whose parameters live in backend
// memory as its layout says. value_and_gradient() does not wait for the device.
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

/// Which tasks a batch holds: numbers first .. first + B - 1 of the stream `seed`. The same task
/// is the same function with the same theta_0 and minibatches in whatever batch it sits.
struct TaskRange {
  std::uint64_t seed = 0;
  std::uint32_t first = 0;
};

class Optimizee {
 public:
  virtual ~Optimizee() = default;

  /// The parameters of one task; what is given as ParameterBlocks follows it.
  const ParameterLayout& layout() const { return layout_; }
  /// Appends a parameter, as ParameterLayout::add(). A constructor adds those of its function; one
  /// that is added from outside is nothing to the function. Before assign_groups().
  int add_parameter(const std::string& name, const std::vector<std::int64_t>& shape) {
    return layout_.add(name, shape);
  }
  /// Puts the parameters into groups, which are one at first, with tasks that begin at multiples of
  /// `alignment`; what pads them is nobody's: the functions below leave it alone. Before them.
  void assign_groups(const std::vector<ParameterGroup>& groups, std::int64_t alignment = 1) {
    layout_.assign(groups, alignment);
    groups_assigned(groups, alignment);
  }
  /// Coordinates of one task.
  std::int64_t coordinates() const { return layout().size(); }
  /// B, the tasks of this batch.
  virtual int tasks() const = 0;

  /// Draws the tasks: data, targets. Before anything else, and again for each new batch.
  virtual void sample(const TaskRange& range) = 0;
  /// Writes theta_0 of every task.
  virtual void initial_parameters(ParameterBlocks theta) = 0;
  /// The evaluations that follow are those of the episode from number `first` on.
  virtual void start_evaluations(std::uint32_t first) = 0;
  /// loss [B] = f(theta) of every task and gradient = d loss / d theta, overwritten. `evaluation`
  /// counts from the last start_evaluations(): each one has a minibatch of its own.
  virtual void value_and_gradient(ConstParameterBlocks theta, std::uint32_t evaluation, float* loss,
                                  ParameterBlocks gradient) = 0;
  /// Tells data sets apart that the tasks are drawn from; 0 where there is none.
  virtual std::uint64_t data_fingerprint() const { return 0; }
  /// Whether value_and_gradient() queues the same ops each time, so that Backend::run() may record
  /// it: its arguments apart, nothing depends on the tasks or on start_evaluations().
  virtual bool is_recordable() const { return true; }

 private:
  /// The layout is another: for an optimizee that has memory of its shape, or wraps another one.
  virtual void groups_assigned(const std::vector<ParameterGroup>& /*groups*/,
                               std::int64_t /*alignment*/) {}

  ParameterLayout layout_;
};

/// What an optimizee is made with. A factory reads its keys from `options`, so that every key is
/// declared in the one file of its optimizee.
struct OptimizeeContext {
  Backend& backend;
  int tasks;             ///< B
  std::string data_dir;  ///< where data sets lie; empty: none was named
  /// Where the configuration does not say which split of a data set: its test split, if it has one,
  /// rather than its training split.
  bool held_out = false;
  /// The caller's own arrays, which are what data = "arrays" means; null: there are none.
  const DataSet* arrays = nullptr;
};

struct OptimizeeEntry {
  std::string name;     ///< what configs call it
  std::string summary;  ///< one line for --help
  std::unique_ptr<Optimizee> (*make)(const OptimizeeContext& context, ConfigReader& options);
};

/// THE list of optimizees (registry.cpp).
const std::vector<OptimizeeEntry>& optimizee_registry();

/// Makes the optimizee that options.name names (required); unknown names are kUsage
/// errors that list the known ones. The caller calls options.finish().
std::unique_ptr<Optimizee> make_optimizee(const OptimizeeContext& context, ConfigReader& options);

}  // namespace l2o
