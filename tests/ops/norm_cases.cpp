// Batch and layer normalization.
#include <fmt/format.h>

#include <algorithm>

#include "tests/ops/op_case.h"
#include "tests/ops/reference.h"
#include "tests/support/tolerances.h"

namespace l2o::test {
namespace {

struct NormSizes {
  int batch, rows, columns, gap;
  Activation activation;
  double mean = 0.0;  ///< mean of the inputs; their deviation is about 0.6
};

const NormSizes kNorms[] = {
    {1, 4, 1, 0, Activation::kIdentity},       {1, 37, 16, 0, Activation::kRelu},
    {2, 64, 17, 3, Activation::kTanh},         {3, 5, 33, 1, Activation::kElu},
    {1, 1500, 16, 0, Activation::kRelu},       {2, 700, 65, 2, Activation::kSigmoid},
    {1, 300, 4, 0, Activation::kSoftplus, 50}, {1, 3, 1000, 0, Activation::kIdentity},
};

constexpr double kEpsilon = 1e-5;

/// A normalization of columns over the rows of a task, or of rows over their columns.
struct Norm {
  NormSizes sizes;
  bool is_batch_norm;
  std::int64_t stride, values;  ///< between the parameters of two tasks; of all inputs
  Floats input, scale, shift, adjoint;

  Norm(const NormSizes& given, bool by_column)
      : sizes(given),
        is_batch_norm(by_column),
        stride(given.columns + given.gap),
        values(std::int64_t{given.batch} * given.rows * given.columns),
        input(uniform(1, values, given.mean - 1.0, given.mean + 1.0)),
        scale(uniform(2, given.batch * stride, 0.5, 1.5)),
        shift(uniform(3, given.batch * stride)),
        adjoint(uniform(4, values)) {
    // A constant column has variance 0.
    if (by_column && given.columns > 3) {
      for (std::int64_t i = 2; i < values; i += given.columns)
        input[static_cast<std::size_t>(i)] = 0.5F;
    }
  }

  int groups() const { return sizes.batch * (is_batch_norm ? sizes.columns : sizes.rows); }
  std::size_t group_of(std::size_t i) const {
    const std::size_t columns = static_cast<std::size_t>(sizes.columns);
    return is_batch_norm ? task_of(i) * columns + i % columns : i / columns;
  }
  std::size_t task_of(std::size_t i) const {
    return i / (static_cast<std::size_t>(sizes.rows) * static_cast<std::size_t>(sizes.columns));
  }
  std::size_t parameter_of(std::size_t i) const {
    return task_of(i) * static_cast<std::size_t>(stride) +
           i % static_cast<std::size_t>(sizes.columns);
  }
  double group_size() const { return is_batch_norm ? sizes.rows : sizes.columns; }

  Doubles means() const {
    Doubles means(static_cast<std::size_t>(groups()));
    for (std::size_t i = 0; i < input.size(); ++i) means[group_of(i)] += input[i] / group_size();
    return means;
  }
  Doubles inverse_deviations() const {
    const Doubles mean = means();
    Doubles result(mean.size());
    for (std::size_t i = 0; i < input.size(); ++i) {
      const double distance = input[i] - mean[group_of(i)];
      result[group_of(i)] += distance * distance / group_size();
    }
    for (double& value : result) value = 1.0 / std::sqrt(value + kEpsilon);
    return result;
  }
  /// For every value: normalized, and with scale and shift.
  Doubles normalized() const {
    const Doubles mean = means(), inverse = inverse_deviations();
    Doubles result(input.size());
    for (std::size_t i = 0; i < input.size(); ++i) {
      result[i] = (input[i] - mean[group_of(i)]) * inverse[group_of(i)];
    }
    return result;
  }
  Doubles before_activation() const {
    Doubles z = normalized();
    for (std::size_t i = 0; i < z.size(); ++i) {
      z[i] = z[i] * scale[parameter_of(i)] + shift[parameter_of(i)];
    }
    return z;
  }
  Doubles output() const {
    Doubles y = before_activation();
    for (double& value : y) value = activation_of(sizes.activation, value);
    return y;
  }
  /// input_adjoint, scale_gradient, shift_gradient.
  std::vector<Doubles> backward() const {
    const Doubles normal = normalized(), z = before_activation(), inverse = inverse_deviations();
    Doubles dx(input.size()), dscale(scale.size(), kUntouched), dshift(scale.size(), kUntouched);
    for (int task = 0; task < sizes.batch; ++task) {
      for (int j = 0; j < sizes.columns; ++j) {
        const auto at = static_cast<std::size_t>(task * stride + j);
        dscale[at] = dshift[at] = 0.0;
      }
    }
    Doubles sum(static_cast<std::size_t>(groups())), product(sum.size()), dn(input.size());
    for (std::size_t i = 0; i < input.size(); ++i) {
      const double dz = adjoint[i] * slope_of(sizes.activation, z[i]);
      dscale[parameter_of(i)] += dz * normal[i];
      dshift[parameter_of(i)] += dz;
      dn[i] = dz * scale[parameter_of(i)];
      sum[group_of(i)] += dn[i] / group_size();
      product[group_of(i)] += dn[i] * normal[i] / group_size();
    }
    for (std::size_t i = 0; i < input.size(); ++i) {
      dx[i] = inverse[group_of(i)] * (dn[i] - sum[group_of(i)] - normal[i] * product[group_of(i)]);
    }
    return {dx, dscale, dshift};
  }
};

template <class Args>
Args forward_args(const Norm& norm, OpRun& run) {
  Args args;
  args.activation = norm.sizes.activation;
  args.batch = norm.sizes.batch;
  args.rows = norm.sizes.rows;
  args.columns = norm.sizes.columns;
  args.epsilon = static_cast<float>(kEpsilon);
  args.input = run.in(norm.input);
  args.scale = run.in(norm.scale);
  args.shift = run.in(norm.shift);
  args.scale_stride = args.shift_stride = norm.stride;
  args.output = run.out(norm.input.size());
  args.mean = run.out(static_cast<std::size_t>(norm.groups()));
  args.inverse_deviation = run.out(static_cast<std::size_t>(norm.groups()));
  run.costs(args);
  return args;
}

Floats rounded(const Doubles& values) { return {values.begin(), values.end()}; }

template <class Args>
Args backward_args(const Norm& norm, OpRun& run, bool wants_input_adjoint) {
  Args args;
  args.activation = norm.sizes.activation;
  args.batch = norm.sizes.batch;
  args.rows = norm.sizes.rows;
  args.columns = norm.sizes.columns;
  args.input = run.in(norm.input);
  args.output = run.in(rounded(norm.output()));
  args.mean = run.in(rounded(norm.means()));
  args.inverse_deviation = run.in(rounded(norm.inverse_deviations()));
  args.scale = run.in(norm.scale);
  args.scale_stride = args.scale_gradient_stride = args.shift_gradient_stride = norm.stride;
  args.output_adjoint = run.in(norm.adjoint);
  if (wants_input_adjoint) args.input_adjoint = run.out(norm.input.size());
  args.scale_gradient = run.out(norm.scale.size());
  args.shift_gradient = run.out(norm.scale.size());
  run.costs(args);
  return args;
}

void add_norm_cases(const NormSizes& sizes, bool is_batch_norm, std::vector<OpCase>& cases) {
  const Norm norm(sizes, is_batch_norm);
  const std::string op = is_batch_norm ? "batch_norm" : "layer_norm";
  const std::string name = fmt::format("B{}_R{}_C{}_{}", sizes.batch, sizes.rows, sizes.columns,
                                       name_of(sizes.activation));
  // Inputs far from 0 have fewer significant digits before anything is computed.
  const double tolerance = tolerance::kNorm * (1.0 + std::abs(sizes.mean));
  cases.push_back(
      {op, name, tolerance,
       [=](OpRun& run) {
         if (is_batch_norm) {
           run.backend().batch_norm(forward_args<BatchNormArgs>(norm, run));
         } else {
           run.backend().layer_norm(forward_args<LayerNormArgs>(norm, run));
         }
       },
       [=] {
         return std::vector<Doubles>{norm.output(), norm.means(), norm.inverse_deviations()};
       }});
  for (const bool wanted : {true, false}) {
    cases.push_back({op + "_backward", name + (wanted ? "" : "_parameters_only"), tolerance,
                     [=](OpRun& run) {
                       if (is_batch_norm) {
                         run.backend().batch_norm_backward(
                             backward_args<BatchNormBackwardArgs>(norm, run, wanted));
                       } else {
                         run.backend().layer_norm_backward(
                             backward_args<LayerNormBackwardArgs>(norm, run, wanted));
                       }
                     },
                     [=] {
                       std::vector<Doubles> expected = norm.backward();
                       if (!wanted) expected.erase(expected.begin());
                       return expected;
                     }});
  }
}

}  // namespace

std::vector<OpCase> norm_cases() {
  std::vector<OpCase> cases;
  for (const NormSizes& sizes : kNorms) {
    add_norm_cases(sizes, true, cases);
    if (sizes.columns > 1) add_norm_cases(sizes, false, cases);
  }
  return cases;
}

}  // namespace l2o::test
