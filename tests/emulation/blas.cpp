// Matrix products of the emulated GPU, computed by the CPU kernels: replaces kernels/cuda/blas.cpp.
#include "kernels/cuda/blas.h"

#include "kernels/cpu/product.h"
#include "tests/emulation/device_memory.h"
#include "tests/emulation/emulation.h"
#include "tests/emulation/runtime.h"

namespace l2o::cuda {
namespace {

/// Throws unless a matrix of floats with rows `stride` apart is in the GPU's memory.
void require_matrix(const char* name, const float* values, std::int64_t rows, std::int64_t columns,
                    std::int64_t stride) {
  const std::int64_t size = rows == 0 ? 0 : (rows - 1) * stride + columns;
  if (!emulation::is_device_memory(values, static_cast<std::size_t>(size) * sizeof(float))) {
    throw emulation::EmulationFault(std::string("Blas: ") + name + " is not in device memory");
  }
}

void run(const GemmArgs& args) {
  for (std::int64_t i = 0; i < args.batch; ++i) {
    const float *const a = args.a + i * args.stride_a, *const b = args.b + i * args.stride_b;
    float* const c = args.c + i * args.stride_c;
    require_matrix("A", a, args.m, args.k, args.k);
    require_matrix("B", b, args.k, args.n, args.n);
    require_matrix("C", c, args.m, args.n, args.n);
    cpu::Product product =
        cpu::dense_product(args.transpose_a, args.transpose_b, args.m, args.n, args.k);
    product.a = a;
    product.b = b;
    product.c = c;
    cpu::multiply(product);
  }
}

}  // namespace

struct Blas::Implementation {
  cudaStream_t stream;
};

Blas::Blas(cudaStream_t stream, void* workspace)
    : implementation_(std::make_unique<Implementation>(Implementation{stream})) {
  if (!emulation::is_device_memory(workspace, kWorkspaceBytes)) {
    throw emulation::EmulationFault("Blas: the workspace is not in device memory");
  }
}
Blas::~Blas() = default;

void Blas::set_stream(cudaStream_t stream) { implementation_->stream = stream; }

void Blas::gemm(const GemmArgs& args) {
  if (args.batch == 0 || args.m == 0 || args.n == 0) return;
  emulation::enqueue(implementation_->stream, [args] { run(args); });
}

}  // namespace l2o::cuda
