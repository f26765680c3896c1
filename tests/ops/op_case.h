// One op on made-up inputs, with the result that double arithmetic gives. THE list of cases is
// op_cases(); op_cases_test.cpp runs it on every backend. To add an op: a function that makes its
// cases, in a file of its family, and a line in op_cases.cpp.
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

/// U[low, high), another stream for every number `stream`.
inline Floats uniform(std::uint32_t stream, std::int64_t count, double low = -1.0,
                      double high = 1.0) {
  const RandomKey key{.seed = 11, .purpose = RandomPurpose::kTest, .task = stream, .step = 0};
  Floats values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(low + (high - low) * uniform_from_bits(random_bits(key, i)));
  }
  return values;
}

/// What stands where an op has nothing to write.
inline constexpr float kUntouched = -123.25F;

/// The memory that one run of a case works on. Arrays stand `offset` elements behind an aligned
/// address, between guards, which are checked when results are taken.
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
    return place(values, [this, &results, index = results.size() - 1](const Floats& all) {
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
  /// What the op is given besides is kept to be asked for its cost.
  template <class Args>
  void costs(const Args& args) {
    bytes_ = bytes(args);
    flops_ = flops(args);
  }

  /// Throws where a guard was overwritten.
  std::vector<Floats> results() {
    backend_.synchronize();
    for (const std::function<void()>& take : takers_) take();
    return results_;
  }
  double op_bytes() const { return bytes_; }
  double op_flops() const { return flops_; }

 private:
  static constexpr std::size_t kGuard = 16;

  template <class Value>
  using Keep = std::function<void(const std::vector<std::type_identity_t<Value>>&)>;

  /// keep: what is done with the values in the end; of an input, which must stay as it was,
  /// nothing.
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
    takers_.push_back([=] {
      const std::vector<Value> now = memory->download();
      const auto is_as_before = [&](std::size_t begin, std::size_t end) {
        return std::memcmp(now.data() + begin, all.data() + begin, (end - begin) * sizeof(Value)) ==
               0;
      };
      if (!is_as_before(0, first) || !is_as_before(first + count, now.size())) {
        throw std::runtime_error("the op wrote beside its arrays");
      }
      if (keep) {
        keep({now.begin() + static_cast<std::ptrdiff_t>(first),
              now.begin() + static_cast<std::ptrdiff_t>(first + count)});
      } else if (!is_as_before(first, first + count)) {
        throw std::runtime_error("the op wrote into an input");
      }
    });
    return memory->data() + first;
  }

  Backend& backend_;
  std::size_t offset_;
  std::vector<Floats> results_;
  std::vector<std::function<void()>> takers_;
  double bytes_ = 0.0, flops_ = -1.0;
};

struct OpCase {
  std::string op;    ///< as op_list.h calls it
  std::string name;  ///< what the sizes are about
  double tolerance;  ///< of each result, relative to its largest value
  std::function<void(OpRun&)> run;
  /// The results, in the order of OpRun's. What an op leaves alone is kUntouched.
  std::function<std::vector<Doubles>()> expected;
};

std::vector<OpCase> op_cases();

// By family; a file each.
std::vector<OpCase> image_cases();  // convolutions and pooling
std::vector<OpCase> norm_cases();
std::vector<OpCase> loss_cases();
std::vector<OpCase> meta_cases();     // between the backward pass and the meta-update
std::vector<OpCase> element_cases();  // value by value, and random numbers
std::vector<OpCase> dense_cases();    // products, bias and activation, minibatches, quadratics

/// The backends that this program tests, at least one; elsewhere, since programs differ in it.
std::vector<std::unique_ptr<Backend>> backends_under_test();

}  // namespace l2o::test
