#include "tests/emulation/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/context/detail/fcontext.hpp>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "tests/emulation/device_memory.h"
#include "tests/emulation/emulation.h"
#include "tests/emulation/fiber_stacks.h"
#include "tests/emulation/guarded_memory.h"
#include "tests/emulation/random_order.h"
#include "tests/emulation/signal_guard.h"

namespace l2o::emulation {

RunningThread running;

Settings settings = [] {
  Settings initial;
  if (const char* seed = std::getenv("L2O_EMULATION_SEED")) {
    initial.seed = std::strtoull(seed, nullptr, 10);
  }
  return initial;
}();

namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr int kMaxThreads = 1024;
constexpr const char* kBarrier = "synchronize_block";

/// A function in which threads wait for others.
struct Call {
  const char* name = nullptr;
  Place place = {};

  bool operator==(const Call& other) const {
    return name == other.name && place.line == other.place.line;
  }
  std::string text() const { return fmt::format("{} ({}:{})", name, place.file, place.line); }
};

enum class ThreadState { kRunnable, kWaiting, kEnded };

struct Fiber {
  fcontext_t context = nullptr;  ///< where it yielded; null before it has started
  std::byte* stack = nullptr;
  ThreadState state = ThreadState::kRunnable;
  Call call;         ///< the call it waits in
  int barriers = 0;  ///< calls so far
};

struct Warp {
  std::uint32_t runnable = ~0U;  ///< a set bit for each lane that can run
  int arrived = 0;               ///< number of lanes that wait in `call`
  Call call;
  void* lanes[kWarpLanes];  ///< their operands
};

/// The threads of one block. There is a single instance, so that the fibers can access it.
class Block {
 public:
  /// Runs `body` once as each of the threads described by `running`; returns the error, if any.
  std::optional<std::string> run(const std::function<void()>& body, std::uint64_t seed);

  // The code around a fiber switch is inline: function returns after a switch are mispredicted.
  [[gnu::always_inline]] void wait_for_block(const Call& call);
  [[gnu::always_inline]] void call_together(const Call& call, WarpFunction function, void* mine);
  [[noreturn]] void leave(std::string what);
  [[noreturn]] void leave_for_signal(int signal, const void* address);

 private:
  static void run_fiber(transfer_t from);
  [[gnu::always_inline]] void wait(const Call& call);
  [[gnu::always_inline]] void switch_to(int thread, Fiber* from);
  void make_all_runnable();
  void stop_running(int thread);
  int choose();
  [[noreturn]] void explain_deadlock();
  int find(ThreadState state) const;
  std::string state_text(int thread) const;
  std::string describe_signal() const;

  const std::function<void()>* body_ = nullptr;
  bool random_ = false;
  RandomOrder order_{0};
  Fiber fibers_[kMaxThreads];
  Warp warps_[kMaxThreads / kWarpLanes];
  std::uint32_t runnable_warps_ = 0;
  int turns_ = 0;  ///< left for the running warp before another one is drawn
  int alive_ = 0;
  int at_barrier_ = 0;
  Call barrier_;
  Fiber launcher_;  ///< the context that called run()
  FiberStacks stacks_;
  std::optional<std::string> fault_;
  int signal_ = 0;  ///< the signal that ended the block
  const void* signal_address_ = nullptr;
};

Statistics counts;

Block block;

/// The context of a fiber that yielded is known only when the next one continues.
void remember(transfer_t from) {
  if (from.data != nullptr) static_cast<Fiber*>(from.data)->context = from.fctx;
}

std::optional<std::string> Block::run(const std::function<void()>& body, std::uint64_t seed) {
  body_ = &body;
  random_ = seed != 0;
  order_ = RandomOrder(seed);
  alive_ = running.block_threads;
  std::fill_n(fibers_, alive_, Fiber());
  std::fill_n(warps_, alive_ / kWarpLanes, Warp());
  make_all_runnable();
  turns_ = 0;
  at_barrier_ = 0;
  fault_.reset();
  signal_ = 0;
  running.index = running.block_threads - 1;  // after the last thread, the first is next
  switch_to(choose(), &launcher_);            // returns when all have ended, or at a fault
  stacks_.take_all_back();
  if (signal_ != 0) fault_ = describe_signal();
  return std::exchange(fault_, std::nullopt);
}

inline void Block::switch_to(int thread, Fiber* from) {
  ++counts.switches;
  running.index = thread;
  Fiber& fiber = fibers_[thread];
  if (fiber.context == nullptr) {
    fiber.stack = stacks_.take();
    fiber.context = make_fcontext(fiber.stack, FiberStacks::kUsableBytes, run_fiber);
  }
  remember(jump_fcontext(fiber.context, from));
}

/// A fiber runs a thread to its end, and then threads that have not been started, without
/// switching.
void Block::run_fiber(transfer_t from) {
  remember(from);
  Block& me = block;
  std::byte* const stack = me.fibers_[running.index].stack;
  for (;;) {
    (*me.body_)();
    me.fibers_[running.index].state = ThreadState::kEnded;
    me.stop_running(running.index);
    if (--me.alive_ == 0) jump_fcontext(me.launcher_.context, nullptr);
    running.index = me.choose();
    if (Fiber& next = me.fibers_[running.index]; next.context != nullptr) {
      me.stacks_.give_back(stack);
      jump_fcontext(next.context, nullptr);
    }
  }
}

void Block::make_all_runnable() {
  const int warps = running.block_threads / kWarpLanes;
  for (int warp = 0; warp < warps; ++warp) warps_[warp].runnable = ~0U;
  runnable_warps_ = static_cast<std::uint32_t>((std::uint64_t{1} << warps) - 1);
}

void Block::stop_running(int thread) {
  Warp& warp = warps_[thread / kWarpLanes];
  warp.runnable &= ~(1U << thread % kWarpLanes);
  if (warp.runnable == 0) runnable_warps_ &= ~(1U << thread / kWarpLanes);
}

/// Returns the thread that continues.
int Block::choose() {
  if (runnable_warps_ == 0) explain_deadlock();
  int warp = running.index / kWarpLanes;
  if (random_) {
    // Runs of turns of all magnitudes: sometimes warps alternate at every turn, sometimes one runs
    // far ahead.
    constexpr int kTurnMagnitudes = 15;  // 2^0 to 2^14 turns
    if (turns_ == 0 || warps_[warp].runnable == 0) {
      warp = order_.bit_of(runnable_warps_);
      turns_ = 1 << order_.below(kTurnMagnitudes);
    }
    --turns_;
    return warp * kWarpLanes + order_.bit_of(warps_[warp].runnable);
  }
  const auto above = [](std::uint32_t mask, int bit) { return mask & ~((2U << bit) - 1U); };
  std::uint32_t lanes = above(warps_[warp].runnable, running.index % kWarpLanes);
  if (lanes == 0) {
    const std::uint32_t later = above(runnable_warps_, warp);
    warp = std::countr_zero(later != 0 ? later : runnable_warps_);
    lanes = warps_[warp].runnable;
  }
  return warp * kWarpLanes + std::countr_zero(lanes);
}

inline void Block::wait(const Call& call) {
  Fiber& me = fibers_[running.index];
  me.call = call;
  me.state = ThreadState::kWaiting;
  stop_running(running.index);
  switch_to(choose(), &me);
  me.state = ThreadState::kRunnable;
}

inline void Block::call_together(const Call& call, WarpFunction function, void* mine) {
  Warp& warp = warps_[running.index / kWarpLanes];
  if (warp.arrived == 0) {
    warp.call = call;
  } else if (!(warp.call == call)) {
    leave(fmt::format("is in {} while other lanes of its warp wait in {}", call.text(),
                      warp.call.text()));
  }
  warp.lanes[running.index % kWarpLanes] = mine;
  if (++warp.arrived < kWarpLanes) return wait(call);
  ++counts.warp_calls;
  function(warp.lanes);
  warp.arrived = 0;
  warp.runnable = ~0U;
  runnable_warps_ |= 1U << running.index / kWarpLanes;
}

inline void Block::wait_for_block(const Call& call) {
  const int number = fibers_[running.index].barriers++;
  const Mutations& mutations = settings.mutations;
  if (mutations.barrier_period > 0 &&
      number % mutations.barrier_period == mutations.dropped_barrier) {
    return;
  }
  if (at_barrier_ == 0) {
    barrier_ = call;
  } else if (!(barrier_ == call)) {
    leave(fmt::format("is in {} while other threads wait in {}", call.text(), barrier_.text()));
  }
  if (++at_barrier_ < running.block_threads) return wait(call);
  at_barrier_ = 0;
  make_all_runnable();
}

// ----------------------------------------------------------------------------------------- faults

void Block::leave(std::string what) {
  fault_ = std::move(what);
  jump_fcontext(launcher_.context, nullptr);
  __builtin_unreachable();
}

/// Called by a signal handler: the message is composed later.
void Block::leave_for_signal(int signal, const void* address) {
  signal_ = signal;
  signal_address_ = address;
  jump_fcontext(launcher_.context, nullptr);
  __builtin_unreachable();
}

int Block::find(ThreadState state) const {
  const Fiber* const end = fibers_ + running.block_threads;
  return static_cast<int>(
      std::find_if(fibers_, end, [&](const Fiber& fiber) { return fiber.state == state; }) -
      fibers_);
}

std::string Block::state_text(int thread) const {
  const Fiber& fiber = fibers_[thread];
  return fiber.state == ThreadState::kEnded ? "has ended" : "waits in " + fiber.call.text();
}

/// No thread can continue, but not all have ended.
void Block::explain_deadlock() {
  for (int warp = 0; warp < running.block_threads / kWarpLanes; ++warp) {
    if (warps_[warp].arrived == 0) continue;
    int waiting = 0, missing = 0;
    for (int thread = warp * kWarpLanes; thread < (warp + 1) * kWarpLanes; ++thread) {
      const Fiber& fiber = fibers_[thread];
      const bool arrived = fiber.state == ThreadState::kWaiting && fiber.call == warps_[warp].call;
      (arrived ? waiting : missing) = thread;
    }
    running.index = waiting;
    leave(fmt::format("waits in {} for thread {} of its warp, which {}", warps_[warp].call.text(),
                      missing, state_text(missing)));
  }
  running.index = find(ThreadState::kWaiting);
  leave(fmt::format("waits in {} for thread {}, which has ended", barrier_.text(),
                    find(ThreadState::kEnded)));
}

std::string Block::describe_signal() const {
  if (signal_ == SIGFPE) return "divides an integer by zero";
  if (signal_address_ == nullptr) return "accesses a null pointer or misaligned memory";
  if (stacks_.overflows_into(signal_address_)) return "needs more stack than the emulation has";
  const auto* const place = static_cast<const std::byte*>(signal_address_);
  const std::byte* const shared_end = running.shared_memory + running.shared_bytes;
  constexpr std::ptrdiff_t kNear = 4096;
  if (place >= shared_end && place - shared_end < kNear) {
    return fmt::format("accesses shared memory {} bytes past the end of its {} bytes",
                       place - shared_end, running.shared_bytes);
  }
  return describe_forbidden(signal_address_);
}

// ----------------------------------------------------------------------------------------- launch

/// The numbers of all blocks in the order in which they run.
std::vector<int> block_order(std::int64_t blocks, std::uint64_t seed) {
  std::vector<int> numbers(static_cast<std::size_t>(blocks));
  std::iota(numbers.begin(), numbers.end(), 0);
  if (seed == 0) return numbers;
  RandomOrder order(~seed);
  for (std::uint32_t last = static_cast<std::uint32_t>(blocks) - 1; last > 0; --last) {
    std::swap(numbers[last], numbers[order.below(last + 1)]);
  }
  return numbers;
}

/// Reused by successive launches of the same size.
const GuardedMemory& shared_memory_of(std::size_t bytes) {
  constexpr std::size_t kAlignment = 16;  // that of the largest vectors
  static std::unique_ptr<GuardedMemory> memory;
  if (!memory || memory->bytes() != bytes) {
    memory = std::make_unique<GuardedMemory>(bytes, kAlignment);
  }
  return *memory;
}

}  // namespace

void run_grid(const char* name, const GridShape& shape, const std::function<void()>& thread_body) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  if (shape.threads <= 0 || shape.threads > kMaxThreads || shape.threads % kWarpLanes != 0) {
    throw EmulationFault(
        fmt::format("{}: blocks of {} threads; expected whole warps, at most {} threads", name,
                    shape.threads, kMaxThreads));
  }
  const GuardedMemory& shared = shared_memory_of(shape.shared_bytes);
  running = {.index = 0,
             .block_threads = shape.threads,
             .block = 0,
             .block_count = static_cast<int>(shape.blocks),
             .shared_memory = shared.begin(),
             .shared_bytes = shape.shared_bytes};
  const std::uint64_t seed = settings.seed;
  const SignalGuard guard(
      [](int signal, const void* address) { block.leave_for_signal(signal, address); });
  ++counts.launches;
  for (const int number : block_order(shape.blocks, seed)) {
    ++counts.blocks;
    running.block = number;
    shared.poison();
    std::optional<std::string> fault = block.run(
        thread_body, seed == 0 ? 0 : seed * 0x9E3779B1U + static_cast<std::uint64_t>(number) + 1);
    const auto where = [&] { return fmt::format("{}, block {}", name, number); };
    if (fault)
      throw EmulationFault(fmt::format("{}, thread {}: {}", where(), running.index, *fault));
    if (!shared.margins_are_intact()) {
      throw EmulationFault(where() + ": wrote outside of its shared memory");
    }
  }
  check_margins(name);
}

void fail(const std::string& what) { block.leave(what); }

void wait_for_block(const Place& place) { block.wait_for_block({kBarrier, place}); }

void call_together(const char* name, const Place& place, WarpFunction function, void* mine) {
  block.call_together({name, place}, function, mine);
}

void require_shared(const void* address, std::size_t bytes, const char* function) {
  const auto* const begin = static_cast<const std::byte*>(address);
  if (begin < running.shared_memory ||
      begin + bytes > running.shared_memory + running.shared_bytes) {
    fail(std::string(function) + ": not in shared memory");
  }
}

const Statistics& statistics() { return counts; }

}  // namespace l2o::emulation
