// Matrix products against float64, on every instruction set of this CPU.
#include "kernels/cpu/product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/simd_target_test.h"
#include "tests/support/tolerances.h"

namespace l2o::cpu {
namespace {

/// A matrix whose rows are `stride` apart, with NaNs between them that must not be read.
struct Matrix {
  Matrix(int rows, int columns, int gap, unsigned seed)
      : stride(columns + gap),
        values(static_cast<std::size_t>(rows * stride), std::numeric_limits<float>::quiet_NaN()) {
    std::mt19937 bits(seed);
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) at(i, j) = uniform(bits);
    }
  }
  float& at(int i, int j) { return values[static_cast<std::size_t>(i * stride + j)]; }
  float at(int i, int j) const { return values[static_cast<std::size_t>(i * stride + j)]; }

  int stride;
  std::vector<float> values;
};

struct Problem {
  Problem(const Product& shape, int gap)
      : product(shape),
        a(shape.transpose_a ? shape.k : shape.m, shape.transpose_a ? shape.m : shape.k, gap, 1),
        b(shape.transpose_b ? shape.n : shape.k, shape.transpose_b ? shape.k : shape.n, gap, 2),
        c(shape.m, shape.n, gap, 3),
        before(c) {
    product.a = a.values.data();
    product.stride_a = a.stride;
    product.b = b.values.data();
    product.stride_b = b.stride;
    product.c = c.values.data();
    product.stride_c = c.stride;
  }
  double a_at(int i, int p) const { return product.transpose_a ? a.at(p, i) : a.at(i, p); }
  double b_at(int p, int j) const { return product.transpose_b ? b.at(j, p) : b.at(p, j); }

  Product product;
  Matrix a, b, c, before;
};

void expect_close(const Problem& problem, const std::string& what) {
  const Product& product = problem.product;
  for (int i = 0; i < product.m; ++i) {
    for (int j = 0; j < product.n; ++j) {
      double sum = 0.0, size = 0.0;
      for (int p = 0; p < product.k; ++p) {
        const double term = problem.a_at(i, p) * problem.b_at(p, j);
        sum += term;
        size += std::abs(term);
      }
      if (product.accumulate) {
        const double term = problem.before.at(i, j);
        sum += term;
        size += std::abs(term);
      }
      ASSERT_NEAR(problem.c.at(i, j), sum, tolerance::kGemm * size)
          << what << ", row " << i << ", column " << j;
    }
  }
}

class ProductTest : public SimdTargetTest {};

TEST_P(ProductTest, AgreesWithFloat64ForEverySizeOfABlock) {
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      for (const int m : {1, 2, 3, 5, 8, 13, 31}) {
        for (const int n : {1, 4, 7, 16, 20, 33, 64, 65, 150}) {
          for (const int k : {1, 5, 40}) {
            Problem problem({.transpose_a = transpose_a,
                             .transpose_b = transpose_b,
                             .m = m,
                             .n = n,
                             .k = k,
                             .accumulate = n % 2 != 0},
                            3);
            if (!problem.product.accumulate) {  // then C may hold anything
              problem.c.values.assign(problem.c.values.size(), NAN);
            }
            multiply(problem.product);
            expect_close(problem, std::to_string(m) + " x " + std::to_string(n) + " x " +
                                      std::to_string(k) + (transpose_a ? " A'" : "") +
                                      (transpose_b ? " B'" : ""));
          }
        }
      }
    }
  }
}

TEST_P(ProductTest, AgreesWithFloat64AcrossBlocksOfTheSum) {
  for (const int k : {255, 256, 257, 1000}) {
    Problem problem({.m = 9, .n = 70, .k = k, .accumulate = true}, 0);
    multiply(problem.product);
    expect_close(problem, std::to_string(k));
  }
}

TEST_P(ProductTest, WithoutTermsTheSumIsZero) {
  for (const bool accumulate : {false, true}) {
    Problem problem({.m = 3, .n = 37, .accumulate = accumulate}, 1);
    multiply(problem.product);
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 37; ++j) {
        EXPECT_EQ(problem.c.at(i, j), accumulate ? problem.before.at(i, j) : 0.0F);
      }
    }
  }
}

TEST_P(ProductTest, WritesOnlyToC) {
  Problem problem({.m = 5, .n = 21, .k = 4}, 6);
  multiply(problem.product);
  for (int i = 0; i < 5; ++i) {
    for (int j = 21; j < 27; ++j) EXPECT_TRUE(std::isnan(problem.c.at(i, j)));
  }
}

TEST_P(ProductTest, PartialProductHasTheBitsOfTheWhole) {
  for (int variant = 0; variant < 4; ++variant) {
    const bool transpose_a = variant % 2 != 0;
    const Product shape = {
        .transpose_a = transpose_a, .m = 50, .n = 90, .k = 300, .accumulate = variant / 2 != 0};
    Problem whole(shape, 0), part(shape, 0);
    multiply(whole.product);
    part.product.m = 7;
    part.product.n = 35;
    part.product.a += transpose_a ? 11 : 11 * part.product.stride_a;
    part.product.b += 41;
    part.product.c += 11 * part.product.stride_c + 41;
    multiply(part.product);
    for (int i = 11; i < 18; ++i) {
      for (int j = 41; j < 76; ++j) ASSERT_EQ(part.c.at(i, j), whole.c.at(i, j)) << i << ", " << j;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ProductTest, testing::ValuesIn(cpu::simd_targets()),
                         simd_target_test_name);

}  // namespace
}  // namespace l2o::cpu
