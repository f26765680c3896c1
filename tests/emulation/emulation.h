// The tests' handle on the emulation: what the GPU is like, in which order its threads run, and
// which faults are put into the hardware to see whether a test notices them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace l2o::emulation {

/// A kernel did what it must not do; the message names kernel, block and thread. Launches throw it.
class EmulationFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Faults of the hardware. Each stands for a mistake that a kernel could contain.
struct Mutations {
  /// Of every thread's calls of synchronize_block(), numbered from 0, those with number %
  /// barrier_period == dropped_barrier do nothing. 0: none.
  int barrier_period = 0;
  int dropped_barrier = 0;
  bool swap_product_halves = false;  ///< b0 and b1 of products with k = 16
  bool skip_shuffles = false;        ///< by lanes 16 .. 31: divergence
  bool skip_copies = false;          ///< that wait_for_copies() should have seen done
  bool misalign_rows = false;        ///< load_transposed gets rows 2 bytes further on
};

struct Settings {
  /// The order in which blocks, warps and lanes run. 0: one after the other, every thread up to
  /// its next barrier or function of a warp. Others: at random, and a warp may run far ahead.
  /// A program starts with that of the environment's L2O_EMULATION_SEED, without it with 1.
  std::uint64_t seed = 1;
  int multiprocessors = 4;
  int threads_per_multiprocessor = 2048;
  std::size_t shared_bytes = 227 << 10;  ///< that one block may have
  int compute_capability = 9;            ///< of the GPU, its major number
  std::size_t memory_bytes = std::size_t{4} << 30;
  bool exact_tanh = false;  ///< approximate_tanh without its error
  Mutations mutations;
};
extern Settings settings;

/// Graphs that were launched, and attributes of kernels that were set, since the program began.
extern int graph_launches, function_attributes_set;

/// Settings as they were, at the end of a test.
class RestoreSettings {
 public:
  RestoreSettings() : saved_(settings) {}
  ~RestoreSettings() { settings = saved_; }
  RestoreSettings(const RestoreSettings&) = delete;
  RestoreSettings& operator=(const RestoreSettings&) = delete;

 private:
  Settings saved_;
};

/// What has run since the program's start.
struct Statistics {
  std::int64_t launches = 0;
  std::int64_t blocks = 0;
  std::int64_t switches = 0;    ///< from one thread to another
  std::int64_t warp_calls = 0;  ///< of functions that a warp calls together
};
const Statistics& statistics();

}  // namespace l2o::emulation
