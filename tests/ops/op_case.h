// One op on synthetic inputs, with the expected result in double arithmetic. THE list of cases is
// op_cases(); op_cases_test.cpp runs it on every backend. To add an op, write a function that makes
// its cases in a file of its family, and add a line to op_cases.cpp.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "host/backend/backend.h"
#include "host/backend/buffer.h"
#include "kernels/math/philox.h"
#include "kernels/op_cost.h"

namespace l2o::test {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

/// U[low, high), a different stream for every value of `stream`.
inline Floats uniform(std::uint32_t stream, std::int64_t count, double low = -1.0,
                      double high = 1.0) {
  const RandomKey key{.seed = 11, .purpose = RandomPurpose::kTest, .task = stream, .step = 0};
  Floats values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(low + (high - low) * uniform_from_bits(random_bits(key, i)));
  }
  return values;
}

/// The value of elements that an op must not write.
inline constexpr float kUntouched = -123.25F;

/// The memory of one run of a case. Arrays start `offset` elements after an aligned address,
/// between guards, which are checked when the results are read.
class OpRun {
 public:
  OpRun(Backend& backend, int offset)
      : backend_(backend), offset_(static_cast<std::size_t>(offset)) {}

  Backend& backend() { return backend_; }
  template <class Value>
  const Value* in(const std::vector<Value>& values) {
    return place(values, {});
  }
  /// Written by the op; becomes result number 0, 1, ... in the order of the calls.
  float* out(std::size_t size) { return in_place(Floats(size, kUntouched)); }
  float* in_place(const Floats& values) {
    std::vector<Floats>& results = results_;
    results.emplace_back();
    return place(values, [&results, index = results.size() - 1](const Floats& all) {
      results[index] = all;
    });
  }
  std::uint16_t* out_integers(std::size_t size) {
    results_.emplace_back();
    return place(std::vector<std::uint16_t>(size, 12345),
                 [this, index = results_.size() - 1](const std::vector<std::uint16_t>& all) {
                   results_[index] = {all.begin(), all.end()};
                 });
  }
  /// Records the cost of the op with these arguments.
  template <class Args>
  void costs(const Args& args) {
    bytes_ = bytes(args);
    flops_ = flops(args);
  }

  /// Throws if a guard was overwritten.
  std::vector<Floats> results() {
    backend_.synchronize();
    for (const std::function<void()>& read : readers_) read();
    return results_;
  }
  double op_bytes() const { return bytes_; }
  double op_flops() const { return flops_; }

 private:
  static constexpr std::size_t kGuard = 16;

  template <class Value>
  using Keep = std::function<void(const std::vector<std::type_identity_t<Value>>&)>;

  /// keep: called with the final values; empty for an input, which must not change.
  template <class Value>
  Value* place(const std::vector<Value>& values, const Keep<Value>& keep) {
    Value guard;
    std::memset(static_cast<void*>(&guard), 0x4D, sizeof(guard));
    std::vector<Value> all(offset_ + kGuard, guard);
    all.insert(all.end(), values.begin(), values.end());
    all.insert(all.end(), kGuard, guard);
    auto memory = std::make_shared<Buffer<Value>>(backend_, all.size());
    memory->upload(all);
    const std::size_t first = offset_ + kGuard, count = values.size();
    readers_.push_back([=] {
      const std::vector<Value> now = memory->download();
      const auto is_unchanged = [&](std::size_t begin, std::size_t end) {
        return std::memcmp(now.data() + begin, all.data() + begin, (end - begin) * sizeof(Value)) ==
               0;
      };
      if (!is_unchanged(0, first) || !is_unchanged(first + count, now.size())) {
        throw std::runtime_error("the op wrote outside its arrays");
      }
      if (keep) {
        keep({now.begin() + static_cast<std::ptrdiff_t>(first),
              now.begin() + static_cast<std::ptrdiff_t>(first + count)});
      } else if (!is_unchanged(first, first + count)) {
        throw std::runtime_error("the op wrote into an input");
      }
    });
    return memory->data() + first;
  }

  Backend& backend_;
  std::size_t offset_;
  std::vector<Floats> results_;
  std::vector<std::function<void()>> readers_;
  double bytes_ = 0.0, flops_ = -1.0;
};

struct OpCase {
  std::string op;    ///< name in op_list.h
  std::string name;  ///< describes the sizes
  double tolerance;  ///< error bound of each result, relative to its largest value
  std::function<void(OpRun&)> run;
  /// The results, in the order of OpRun's. Elements that an op does not write are kUntouched.
  std::function<std::vector<Doubles>()> expected;
};

std::vector<OpCase> op_cases();

// The families, one file each.
std::vector<OpCase> image_cases();  // convolutions and pooling
std::vector<OpCase> norm_cases();
std::vector<OpCase> loss_cases();
std::vector<OpCase> meta_cases();     // between the backward pass and the meta-update
std::vector<OpCase> element_cases();  // elementwise ops and random numbers
std::vector<OpCase> dense_cases();    // products, bias and activation, minibatches, quadratics

/// The backends that this program tests, at least one; each program defines its own.
std::vector<std::unique_ptr<Backend>> backends_under_test();

}  // namespace l2o::test
