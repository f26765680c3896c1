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

# The serial OpenBLAS: our own pool shares the work out, and results must not depend on threads.
find_library(L2O_OPENBLAS openblas PATH_SUFFIXES openblas-serial REQUIRED)
find_path(L2O_OPENBLAS_INCLUDE cblas.h
          PATH_SUFFIXES x86_64-linux-gnu/openblas-serial aarch64-linux-gnu/openblas-serial
                        openblas-serial openblas REQUIRED)
add_library(l2o_openblas INTERFACE)
target_link_libraries(l2o_openblas INTERFACE ${L2O_OPENBLAS})
target_include_directories(l2o_openblas SYSTEM INTERFACE ${L2O_OPENBLAS_INCLUDE})

if(L2O_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(L2O_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()
