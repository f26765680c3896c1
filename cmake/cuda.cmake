# Determines whether the CUDA backend is built, and defines the floor of its kernels. L2O_CUDA is the result for
# CMake files and, as a definition of l2o_backend, for sources.

# Shapes with tensor-core kernels, by rule: hidden units, layers (kernels/cuda/lstm_shapes.h explains why).
set(L2O_LSTM_LogAndSignRule h8_l1 h8_l2 h8_l3 h16_l1 h16_l2 h16_l3 h20_l1 h20_l2 h20_l3 h32_l1 h32_l2 h32_l3)
set(L2O_LSTM_ModulatedAdamRule h8_l1 h20_l1)

# One source per shape, so that shapes compile in parallel; tests/emulation needs no nvcc for them.
function(l2o_lstm_shapes sources)
  set(made "")
  foreach(rule LogAndSignRule ModulatedAdamRule)
    foreach(shape ${L2O_LSTM_${rule}})
      string(REGEX MATCH "h([0-9]+)_l([0-9]+)" matched ${shape})
      set(hidden ${CMAKE_MATCH_1})
      set(layers ${CMAKE_MATCH_2})
      set(source ${PROJECT_BINARY_DIR}/lstm_shapes/${rule}_${shape}.cu)
      configure_file(${PROJECT_SOURCE_DIR}/kernels/cuda/lstm_shape.cu.in ${source} @ONLY)
      list(APPEND made ${source})
    endforeach()
  endforeach()
  set(${sources} ${made} PARENT_SCOPE)
endfunction()

set(L2O_CUDA OFF)
if(NOT L2O_ENABLE_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  set(minimum_nvcc 12.8) # C++20, and the newest of the architectures below
  if(CMAKE_CUDA_COMPILER)
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE nvcc_version)
    string(REGEX MATCH "release ([0-9.]+)" nvcc_version "${nvcc_version}")
    if(CMAKE_MATCH_1 VERSION_GREATER_EQUAL minimum_nvcc)
      set(L2O_CUDA ON)
    elseif(L2O_ENABLE_CUDA STREQUAL "ON")
      message(FATAL_ERROR "L2O_ENABLE_CUDA=ON: ${CMAKE_CUDA_COMPILER} is from CUDA ${CMAKE_MATCH_1}; expected ${minimum_nvcc} or newer")
    else()
      message(STATUS "No CUDA backend: ${CMAKE_CUDA_COMPILER} is from CUDA ${CMAKE_MATCH_1}; ${minimum_nvcc} or newer is required")
    endif()
  elseif(L2O_ENABLE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "L2O_ENABLE_CUDA=ON: nvcc was not found; add it to the PATH or set CMAKE_CUDA_COMPILER")
  endif()
endif()
if(NOT L2O_CUDA)
  return()
endif()

# Machine code for data-center GPUs, and PTX that newer ones compile at startup. The environment
# variable CUDAARCHS, which CMake reads, overrides it.
if(NOT CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100)
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu
                                         ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cpp)
l2o_lstm_shapes(shape_sources)
add_library(l2o_kernels_cuda STATIC ${cuda_sources} ${shape_sources})
# cuBLAS is loaded at run time (kernels/cuda/blas.cpp); so is the driver, by cudart.
target_link_libraries(l2o_kernels_cuda PUBLIC CUDA::cudart_static ${CMAKE_DL_LIBS})
l2o_target(l2o_kernels_cuda)
set_target_properties(l2o_kernels_cuda PROPERTIES UNITY_BUILD OFF)
# Registers and spills of every kernel, for tests/budget; ccache repeats them for an object from its cache.
target_compile_options(l2o_kernels_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=-v>)
set_property(TARGET l2o_kernels_cuda PROPERTY CUDA_COMPILER_LAUNCHER
             ${PROJECT_SOURCE_DIR}/cmake/keep_ptxas_report.sh ${CMAKE_CUDA_COMPILER_LAUNCHER})
