// The tests' interface to the emulation: properties of the GPU, the order of its threads, and
// faults injected into the hardware to check that a test detects them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace l2o::emulation {

/// Thrown by launches if a kernel does something forbidden; the message names kernel, block and
/// thread.
class EmulationFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Hardware faults. Each represents a mistake that a kernel could contain.
struct Mutations {
  /// Of each thread's calls of synchronize_block(), numbered from 0, those with number %
  /// barrier_period == dropped_barrier do nothing. barrier_period 0: none.
  int barrier_period = 0;
  int dropped_barrier = 0;
  bool swap_product_halves = false;  ///< b0 and b1 of products with k = 16
  bool skip_shuffles = false;        ///< by lanes 16 .. 31: divergence
  bool skip_copies = false;          ///< those that wait_for_copies() waits for
  bool misalign_rows = false;        ///< load_transposed gets rows 2 bytes further on
};

struct Settings {
  /// The order in which blocks, warps and lanes run. 0: sequentially, every thread up to its next
  /// barrier or warp function. Others: at random, and a warp may run far ahead. The initial value
  /// is that of the environment variable L2O_EMULATION_SEED, or 1.
  std::uint64_t seed = 1;
  int multiprocessors = 4;
  int threads_per_multiprocessor = 2048;
  std::size_t shared_bytes = 227 << 10;  ///< maximum per block
  int compute_capability = 9;            ///< of the GPU, major version
  std::size_t memory_bytes = std::size_t{4} << 30;
  bool exact_tanh = false;  ///< approximate_tanh without its error
  Mutations mutations;
};
extern Settings settings;

/// Number of graph launches, and of kernel attributes set, since the start of the program.
extern int graph_launches, function_attributes_set;

/// Restores the settings at the end of a test.
class RestoreSettings {
 public:
  RestoreSettings() : saved_(settings) {}
  ~RestoreSettings() { settings = saved_; }
  RestoreSettings(const RestoreSettings&) = delete;
  RestoreSettings& operator=(const RestoreSettings&) = delete;

 private:
  Settings saved_;
};

/// What has run since the start of the program.
struct Statistics {
  std::int64_t launches = 0;
  std::int64_t blocks = 0;
  std::int64_t switches = 0;    ///< from one thread to another
  std::int64_t warp_calls = 0;  ///< of warp functions
};
const Statistics& statistics();

}  // namespace l2o::emulation
