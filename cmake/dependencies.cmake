# Third-party libraries, all of them Debian packages (CONTRIBUTING.md says what each is for).
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

# The threaded OpenBLAS, told to start no threads of its own: the serial one may not be called by two
# threads at once (kernels/cpu/gemm.cpp).
find_library(L2O_OPENBLAS openblas PATH_SUFFIXES openblas-pthread REQUIRED)
find_path(L2O_OPENBLAS_INCLUDE cblas.h
          PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE}/openblas-pthread openblas-pthread REQUIRED)
add_library(l2o_openblas INTERFACE)
target_link_libraries(l2o_openblas INTERFACE ${L2O_OPENBLAS})
target_include_directories(l2o_openblas SYSTEM INTERFACE ${L2O_OPENBLAS_INCLUDE})

if(L2O_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(L2O_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()
