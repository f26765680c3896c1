// Elementwise ops and random numbers.
#include <fmt/format.h>

#include "kernels/math/normal.h"
#include "tests/ops/op_case.h"
#include "tests/ops/reference.h"
#include "tests/support/tolerances.h"

namespace l2o::test {
namespace {

constexpr std::int64_t kSizes[] = {3, 63, 40'000};

void add_activation_cases(Activation activation, std::int64_t n, std::vector<OpCase>& cases) {
  const Floats z = uniform(1, n, -6.0, 6.0), adjoint = uniform(2, n);
  const std::string name = fmt::format("{}_{}", name_of(activation), n);
  cases.push_back({"activation", name, tolerance::kElement,
                   [=](OpRun& run) {
                     ActivationArgs args{.activation = activation, .n = n, .input = run.in(z)};
                     args.output = run.out(z.size());
                     run.costs(args);
                     run.backend().activation(args);
                   },
                   [=] {
                     Doubles y;
                     for (const float value : z) y.push_back(activation_of(activation, value));
                     return std::vector<Doubles>{y};
                   }});
  cases.push_back({"activation_backward", name, tolerance::kElement,
                   [=](OpRun& run) {
                     Floats y;
                     for (const float value : z) {
                       y.push_back(static_cast<float>(activation_of(activation, value)));
                     }
                     ActivationBackwardArgs args{
                         .activation = activation, .n = n, .input = run.in(z)};
                     args.output = run.in(y);
                     args.output_adjoint = run.in(adjoint);
                     args.input_adjoint = run.out(z.size());
                     run.costs(args);
                     run.backend().activation_backward(args);
                   },
                   [=] {
                     Doubles slope;
                     for (std::size_t i = 0; i < z.size(); ++i) {
                       slope.push_back(adjoint[i] * slope_of(activation, z[i]));
                     }
                     return std::vector<Doubles>{slope};
                   }});
}

void add_arithmetic_cases(std::int64_t n, std::vector<OpCase>& cases) {
  const Floats a = uniform(3, n), b = uniform(4, n, 0.5, 2.0);
  const auto each = [=](const auto& value) {
    Doubles result;
    for (std::size_t i = 0; i < a.size(); ++i) result.push_back(value(double{a[i]}, double{b[i]}));
    return std::vector<Doubles>{result};
  };
  cases.push_back({"add", fmt::format("{}", n), tolerance::kElement,
                   [=](OpRun& run) {
                     const AddArgs args{.n = n, .addend = run.in(b), .values = run.in_place(a)};
                     run.costs(args);
                     run.backend().add(args);
                   },
                   [=] { return each([](double x, double y) { return x + y; }); }});
  for (const bool divide : {false, true}) {
    for (const bool in_place : {false, true}) {
      cases.push_back(
          {"multiply",
           fmt::format("{}{}_{}", divide ? "divide_" : "", in_place ? "in_place" : "apart", n),
           tolerance::kElement,
           [=](OpRun& run) {
             MultiplyArgs args{.divide = divide, .n = n};
             args.factors = run.in(b);
             args.out = in_place ? run.in_place(a) : run.out(a.size());
             args.values = in_place ? args.out : run.in(a);
             run.costs(args);
             run.backend().multiply(args);
           },
           [=] { return each([=](double x, double y) { return divide ? x / y : x * y; }); }});
    }
  }
}

OpCase fill_random_case(Distribution distribution, std::int64_t first, bool one_draw, int batch,
                        std::int64_t count, std::int64_t gap) {
  constexpr const char* kNames[] = {"uniform", "normal", "log_uniform"};
  const RandomKey key{.seed = 5, .purpose = RandomPurpose::kTest, .task = 3, .step = 9};
  const std::int64_t stride = count + gap;
  return {"fill_random",
          fmt::format("{}_from{}{}_B{}_N{}", kNames[static_cast<int>(distribution)], first,
                      one_draw ? "_one_draw" : "", batch, count),
          tolerance::kElement,
          [=](OpRun& run) {
            FillRandomArgs args;
            args.distribution = distribution;
            args.a = -0.5F;
            args.b = 2.0F;
            args.key = key;
            args.first = first;
            args.one_draw = one_draw;
            args.batch = batch;
            args.count = count;
            args.out = run.out(static_cast<std::size_t>(batch * stride));
            args.stride = stride;
            run.costs(args);
            run.backend().fill_random(args);
          },
          [=] {
            Doubles expected(static_cast<std::size_t>(batch * stride), kUntouched);
            for (int task = 0; task < batch; ++task) {
              RandomKey task_key = key;
              task_key.task += static_cast<std::uint32_t>(task);
              for (std::int64_t i = 0; i < count; ++i) {
                const std::uint32_t bits =
                    random_bits(task_key, static_cast<std::uint64_t>(one_draw ? first : first + i));
                const double draw = distribution == Distribution::kNormal
                                        ? double{normal_from_bits(bits)}
                                        : double{uniform_from_bits(bits)};
                const double value = -0.5 + 2.0 * draw;
                expected[static_cast<std::size_t>(task * stride + i)] =
                    distribution == Distribution::kLogUniform ? std::exp(value) : value;
              }
            }
            return std::vector<Doubles>{expected};
          }};
}

}  // namespace

std::vector<OpCase> element_cases() {
  std::vector<OpCase> cases;
  for (const Activation activation : kActivations) {
    for (const std::int64_t n : kSizes) add_activation_cases(activation, n, cases);
  }
  for (const std::int64_t n : kSizes) add_arithmetic_cases(n, cases);
  for (const Distribution distribution :
       {Distribution::kUniform, Distribution::kNormal, Distribution::kLogUniform}) {
    cases.push_back(fill_random_case(distribution, 0, false, 1, 9000, 0));
    cases.push_back(fill_random_case(distribution, 7, false, 3, 13, 2));
    cases.push_back(fill_random_case(distribution, 6, true, 2, 50, 1));
  }
  return cases;
}

}  // namespace l2o::test
