# l2o_target(NAME): applies the flags common to all targets of this project.
function(l2o_target name)
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  # Fused operations are explicit in the sources, so that all compilers produce the same bits.
  target_compile_options(${name} PRIVATE
    $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                -Werror -ffp-contract=off -fvisibility=hidden>
    # CMake 3.25 does not pass a language standard to CUDA 13.
    $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 -Xcompiler=-Wall,-Wextra,-Wshadow,-Werror,-fvisibility=hidden
                               -Werror=all-warnings -fmad=false --expt-relaxed-constexpr>)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF)
  if(L2O_SANITIZE)
    target_compile_options(${name} PUBLIC -fsanitize=${L2O_SANITIZE} -fno-omit-frame-pointer
                           -fno-sanitize-recover=all
                           # GCC falsely reports uninitialized values in std::regex.
                           $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(${name} PUBLIC -fsanitize=${L2O_SANITIZE})
  endif()
  # Parsers do not use the kernels, whose vector code takes minutes to instrument for coverage.
  if(L2O_BUILD_FUZZERS AND NOT name STREQUAL l2o_kernels_cpu)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()
