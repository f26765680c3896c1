# libl2o as seen by a user: a program in C, the examples, the exported symbols, the installed tree, the
# Debian package.

# l2o_c_program(NAME SOURCE): builds a C99 program, with all warnings, against the shared library.
function(l2o_c_program name source)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE l2o m)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Werror)
  set_target_properties(${name} PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF C_STANDARD_REQUIRED ON)
  if(L2O_SANITIZE)
    target_link_options(${name} PRIVATE -fsanitize=${L2O_SANITIZE})
    # libl2o needs the sanitizer's runtime for C++.
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  endif()
endfunction()

set(scratch ${CMAKE_CURRENT_BINARY_DIR}/scratch)
file(MAKE_DIRECTORY ${scratch}/doxygen)
set(model ${scratch}/valleys.safetensors)

# Not built from capi/, whose sources form one C++ program.
l2o_c_program(l2o_c_test ${PROJECT_SOURCE_DIR}/tests/capi/c_program.c)
add_test(NAME capi.c_program COMMAND l2o_c_test ${scratch})

foreach(example embed meta_train_callback external_meta_gradient)
  l2o_c_program(example_${example} ${PROJECT_SOURCE_DIR}/examples/${example}.c)
endforeach()
add_test(NAME example.meta_train_callback COMMAND example_meta_train_callback ${model})
add_test(NAME example.external_meta_gradient COMMAND example_external_meta_gradient)
add_test(NAME example.embed COMMAND example_embed ${model})
set_tests_properties(example.meta_train_callback PROPERTIES FIXTURES_SETUP model)
set_tests_properties(example.embed PROPERTIES FIXTURES_REQUIRED model)

add_test(NAME package.exports
         COMMAND ${CMAKE_COMMAND} -DLIBRARY=$<TARGET_FILE:l2o> -DNM=${CMAKE_NM}
                 -DHEADER=${PROJECT_SOURCE_DIR}/host/include/l2o/l2o.h
                 -P ${CMAKE_CURRENT_LIST_DIR}/check_exports.cmake)

# The reference documentation of the header must build without warnings.
find_program(L2O_DOXYGEN doxygen)
if(L2O_DOXYGEN)
  file(READ ${PROJECT_SOURCE_DIR}/docs/Doxyfile doxyfile)
  file(WRITE ${scratch}/Doxyfile "${doxyfile}OUTPUT_DIRECTORY = ${scratch}/doxygen\n")
  add_test(NAME package.doxygen COMMAND ${L2O_DOXYGEN} ${scratch}/Doxyfile
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endif()

# Consumers would have to link the sanitizer's runtime.
if(NOT L2O_SANITIZE)
  add_test(NAME package.install
           COMMAND ${CMAKE_COMMAND} -DBUILD=${PROJECT_BINARY_DIR} -DSOURCE=${PROJECT_SOURCE_DIR}
                   -DSCRATCH=${scratch}/install -DMODEL=${model} -DCC=${CMAKE_C_COMPILER}
                   -DPKG_CONFIG=${PKG_CONFIG_EXECUTABLE}
                   -P ${CMAKE_CURRENT_LIST_DIR}/check_package.cmake)
  add_test(NAME package.debian
           COMMAND ${CMAKE_COMMAND} -DBUILD=${PROJECT_BINARY_DIR} -DSCRATCH=${scratch}/debian
                   -DCPACK=${CMAKE_CPACK_COMMAND}
                   -P ${CMAKE_CURRENT_LIST_DIR}/check_debian.cmake)
  set_tests_properties(package.install package.debian PROPERTIES TIMEOUT 300)
  set_tests_properties(package.install PROPERTIES FIXTURES_REQUIRED model)
endif()
