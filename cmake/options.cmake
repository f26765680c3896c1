# What a user may choose.
set(L2O_ENABLE_CUDA AUTO CACHE STRING
    "Build the CUDA backend: AUTO, ON or OFF. There is none yet: AUTO means OFF for now")
set_property(CACHE L2O_ENABLE_CUDA PROPERTY STRINGS AUTO ON OFF)
if(L2O_ENABLE_CUDA STREQUAL "ON")
  message(FATAL_ERROR "L2O_ENABLE_CUDA=ON: this version has no CUDA backend yet")
endif()
set(L2O_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined or thread")
option(L2O_BUILD_TESTS "Build the tests" ON)
option(L2O_BUILD_BENCH "Build the benches" ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
