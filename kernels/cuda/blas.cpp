// cuBLAS, loaded by dlopen. It reads column-major matrices: a row-major matrix is its transpose, so
// C = op(A) op(B) is computed as C^T = op(B)^T op(A)^T, with the operands swapped and nothing
// moved.
#include "kernels/cuda/blas.h"

#include <cublas_v2.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "kernels/cuda/device.h"

namespace l2o::cuda {
namespace {

/// Maximum number of products per call: some kernels of cuBLAS put the batch in a grid dimension
/// that is limited to 65,535 blocks.
constexpr std::int64_t kMaxBatch = std::int64_t{1} << 15;

/// Loads the library. It is never unloaded: other threads may be running code in it.
void* open_library() {
  const std::string versioned = "libcublas.so." + std::to_string(CUDART_VERSION / 1000);
  std::string complaints;
  for (const std::string& name : {versioned, std::string("libcublas.so")}) {
    void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library != nullptr) return library;
    complaints += "; " + std::string(dlerror());
  }
  throw CudaError(cudaErrorSharedObjectInitFailed,
                  "cuBLAS cannot be loaded, which CUDA brings as " + versioned + complaints);
}

template <class Function>
Function* find(void* library, const char* name) {
  void* const symbol = dlsym(library, name);
  if (symbol == nullptr) {
    throw CudaError(cudaErrorSharedObjectInitFailed,
                    std::string("the cuBLAS of this machine is too old: it has no ") + name);
  }
  return reinterpret_cast<Function*>(symbol);
}

/// A function of the library. The names in the header are used only for their types: nothing links
/// to them.
#define L2O_FIND(library, name) find<decltype(name)>(library, #name)

/// One product in the form that cuBLAS expects, with 64-bit sizes.
struct ColumnMajorProduct {
  cublasOperation_t operation_a, operation_b;
  std::int64_t m, n, k;
  const float* a;
  std::int64_t lead_a, stride_a;  // between columns, between products
  const float* b;
  std::int64_t lead_b, stride_b;
  float* c;
  std::int64_t lead_c, stride_c;
  std::int64_t batch;
};

}  // namespace

struct Blas::Implementation {
  void* library = open_library();
  decltype(&cublasDestroy_v2) destroy = L2O_FIND(library, cublasDestroy_v2);
  decltype(&cublasGetStatusString) status_string = L2O_FIND(library, cublasGetStatusString);
  decltype(&cublasSetStream_v2) set_handle_stream = L2O_FIND(library, cublasSetStream_v2);
  decltype(&cublasSetWorkspace_v2) set_workspace = L2O_FIND(library, cublasSetWorkspace_v2);
  decltype(&cublasSgemmStridedBatched_64) sgemm = L2O_FIND(library, cublasSgemmStridedBatched_64);
  cublasHandle_t handle = nullptr;
  void* workspace;

  Implementation(cudaStream_t stream, void* workspace_of_device) : workspace(workspace_of_device) {
    check(L2O_FIND(library, cublasCreate_v2)(&handle), "starting cuBLAS");
    try {
      set_stream(stream);
      // Both are the defaults of cuBLAS; set explicitly because results depend on them.
      check(L2O_FIND(library, cublasSetMathMode)(handle, CUBLAS_DEFAULT_MATH), "no TF32 in cuBLAS");
      check(L2O_FIND(library, cublasSetAtomicsMode)(handle, CUBLAS_ATOMICS_NOT_ALLOWED),
            "no atomics in cuBLAS");
    } catch (...) {
      destroy(handle);
      throw;
    }
  }
  ~Implementation() { destroy(handle); }
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  void set_stream(cudaStream_t stream) const {
    check(set_handle_stream(handle, stream), "the stream of cuBLAS");
    // Setting the stream resets the workspace.
    check(set_workspace(handle, workspace, kWorkspaceBytes), "the workspace of cuBLAS");
  }

  void check(cublasStatus_t status, const char* what) const {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    throw CudaError(
        status == CUBLAS_STATUS_ALLOC_FAILED ? cudaErrorMemoryAllocation : cudaErrorUnknown,
        std::string(what) + ": " + status_string(status));
  }

  void multiply(const ColumnMajorProduct& p) const {
    constexpr float kAlpha = 1.0F, kBeta = 0.0F;  // C = alpha A B + beta C
    for (std::int64_t first = 0; first < p.batch; first += kMaxBatch) {
      check(sgemm(handle, p.operation_a, p.operation_b, p.m, p.n, p.k, &kAlpha,
                  p.a + first * p.stride_a, p.lead_a, p.stride_a, p.b + first * p.stride_b,
                  p.lead_b, p.stride_b, &kBeta, p.c + first * p.stride_c, p.lead_c, p.stride_c,
                  std::min(p.batch - first, kMaxBatch)),
            "a matrix product");
    }
  }
};

Blas::Blas(cudaStream_t stream, void* workspace)
    : implementation_(std::make_unique<Implementation>(stream, workspace)) {}
Blas::~Blas() = default;

void Blas::set_stream(cudaStream_t stream) { implementation_->set_stream(stream); }

void Blas::gemm(const GemmArgs& args) {
  if (args.batch == 0 || args.m == 0 || args.n == 0) return;
  implementation_->multiply({.operation_a = args.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                             .operation_b = args.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                             .m = args.n,
                             .n = args.m,
                             .k = args.k,
                             .a = args.b,
                             .lead_a = std::max(args.transpose_b ? args.k : args.n, 1),
                             .stride_a = args.stride_b,
                             .b = args.a,
                             .lead_b = std::max(args.transpose_a ? args.m : args.k, 1),
                             .stride_b = args.stride_a,
                             .c = args.c,
                             .lead_c = args.n,
                             .stride_c = args.stride_c,
                             .batch = args.batch});
}

}  // namespace l2o::cuda
