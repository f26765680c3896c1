# Installs into an empty directory and builds a C program against the installed files: with CMake,
# shared and static, and with only cc and pkg-config. Then runs all of them, and the program of
# docs/embedding.md.
#   cmake -DBUILD=... -DSOURCE=... -DSCRATCH=... -DCC=... -DPKG_CONFIG=...
#         -DMODEL=... -P check_package.cmake
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY COMMAND_ECHO STDOUT)
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH}/files)
set(prefix ${SCRATCH}/prefix)
set(program ${SOURCE}/tests/capi/c_program.c)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})

run(${CMAKE_COMMAND} -S ${SOURCE}/tests/package/consumer -B ${SCRATCH}/consumer
    -DCMAKE_C_COMPILER=${CC} -DCMAKE_PREFIX_PATH=${prefix} -DPROGRAM=${program})
run(${CMAKE_COMMAND} --build ${SCRATCH}/consumer)
run(${SCRATCH}/consumer/shared ${SCRATCH}/files)
run(${SCRATCH}/consumer/static ${SCRATCH}/files)

file(GLOB_RECURSE pc_file ${prefix}/*/l2o.pc)
cmake_path(GET pc_file PARENT_PATH directory)
set(ENV{PKG_CONFIG_PATH} ${directory})
execute_process(COMMAND ${PKG_CONFIG} --cflags --libs l2o OUTPUT_VARIABLE flags
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
run(${CC} -std=c99 -Wall -Wextra -Wpedantic -Werror ${program} -o ${SCRATCH}/plain ${flags} -lm)
cmake_path(GET directory PARENT_PATH libraries)
set(ENV{LD_LIBRARY_PATH} ${libraries})
run(${SCRATCH}/plain ${SCRATCH}/files)

# The program in the documentation, built with the commands given there.
file(READ ${SOURCE}/docs/embedding.md documentation)
string(REGEX MATCH "```c\n([^`]*)```" found "${documentation}")
file(WRITE ${SCRATCH}/hello.c "${CMAKE_MATCH_1}")
run(${CC} ${SCRATCH}/hello.c -o ${SCRATCH}/hello ${flags})
file(GLOB_RECURSE shipped ${prefix}/*/quadratic.safetensors)
execute_process(COMMAND ${SCRATCH}/hello ${shipped} OUTPUT_VARIABLE minimum COMMAND_ERROR_IS_FATAL ANY)
if(NOT minimum MATCHES "^(-?(0\\.0[0-9]+|[0-9.]+e-[0-9]+)[ \n])+$")
  message(FATAL_ERROR "hello.c ends at ${minimum} instead of near 0")
endif()
run(${CC} ${SOURCE}/examples/embed.c -o ${SCRATCH}/embed ${flags})
run(${SCRATCH}/embed ${MODEL})
run(${SCRATCH}/embed ${shipped})
