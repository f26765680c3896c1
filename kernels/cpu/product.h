// Single-threaded matrix products.
#pragma once

namespace l2o::cpu {

/// C = op(A) op(B) or, with `accumulate`, C += op(A) op(B), where C is [m, n], op(A) [m, k] and
/// op(B) [k, n]; row-major. A stride is the number of elements between rows of the matrix as
/// stored.
struct Product {
  bool transpose_a = false, transpose_b = false;
  int m = 0, n = 0, k = 0;
  const float* a = nullptr;
  int stride_a = 0;
  const float* b = nullptr;
  int stride_b = 0;
  bool accumulate = false;  // if false, C is not read
  float* c = nullptr;
  int stride_c = 0;
};

/// Sizes and strides of a product of contiguous matrices; the caller fills in the rest.
inline Product dense_product(bool transpose_a, bool transpose_b, int m, int n, int k) {
  return {.transpose_a = transpose_a,
          .transpose_b = transpose_b,
          .m = m,
          .n = n,
          .k = k,
          .stride_a = transpose_a ? m : k,
          .stride_b = transpose_b ? k : n,
          .stride_c = n};
}

/// Every value of C is one sum, whose order depends on k alone: C may be split at any row or
/// column without changing a bit of the result.
void multiply(const Product& product);

}  // namespace l2o::cpu
