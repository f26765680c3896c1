// Marks functions that are compiled for the CPU and, under nvcc, for the GPU as well.
#pragma once

#ifdef __CUDACC__
#define L2O_HOST_DEVICE __host__ __device__
#else
#define L2O_HOST_DEVICE
#endif
