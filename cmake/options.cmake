# What a user may choose.
set(L2O_ENABLE_CUDA AUTO CACHE STRING
    "Build the CUDA backend: ON, OFF, or AUTO: where there is nvcc")
set_property(CACHE L2O_ENABLE_CUDA PROPERTY STRINGS AUTO ON OFF)
set(L2O_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined or thread")
option(L2O_BUILD_FUZZERS "Make tests/fuzz libFuzzer programs; needs clang" OFF)
if(L2O_BUILD_FUZZERS)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "L2O_BUILD_FUZZERS=ON: libFuzzer comes with clang, not ${CMAKE_CXX_COMPILER_ID}")
  endif()
  set(L2O_SANITIZE fuzzer-no-link,address,undefined)
endif()
option(L2O_BUILD_TESTS "Build the tests" ON)
option(L2O_BUILD_BENCH "Build the benches" ON)
option(L2O_BUILD_EMULATION "Test the CUDA backend on an emulated GPU; needs Boost.Context" ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
