# Checks that the .deb contains the library, the header, the package files and the program, and declares
# its dependencies.   cmake -DBUILD=... -DSCRATCH=... -DCPACK=... -P check_debian.cmake
file(REMOVE_RECURSE ${SCRATCH})
execute_process(COMMAND ${CPACK} -G DEB --config ${BUILD}/CPackConfig.cmake -B ${SCRATCH}
                COMMAND_ERROR_IS_FATAL ANY)
file(GLOB package ${SCRATCH}/l2o_*.deb)
list(LENGTH package count)
if(NOT count EQUAL 1)
  message(FATAL_ERROR "expected one package, found: ${package}")
endif()
execute_process(COMMAND dpkg-deb --contents ${package} OUTPUT_VARIABLE contents
                COMMAND_ERROR_IS_FATAL ANY)
foreach(file /usr/bin/l2o /usr/include/l2o/l2o.h libl2o.so.0 libl2o.a l2o.pc l2o-config.cmake
        l2o-targets.cmake)
  string(FIND "${contents}" "${file}\n" plain)
  string(FIND "${contents}" "${file} -> " link)
  if(plain EQUAL -1 AND link EQUAL -1)
    message(FATAL_ERROR "${file} is not in the package:\n${contents}")
  endif()
endforeach()
execute_process(COMMAND dpkg-deb --field ${package} Depends OUTPUT_VARIABLE needs
                COMMAND_ERROR_IS_FATAL ANY)
foreach(library libhwy1 libstdc++6)
  string(FIND "${needs}" "${library}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "the package does not depend on ${library}: ${needs}")
  endif()
endforeach()
