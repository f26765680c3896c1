# Checks that libl2o exports the functions of l2o.h and nothing else.
#   cmake -DLIBRARY=... -DHEADER=... -DNM=... -P check_exports.cmake
execute_process(COMMAND ${NM} -D --defined-only ${LIBRARY} OUTPUT_VARIABLE symbols
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^ \n]+\n" names "${symbols}")
set(exported "")
foreach(name ${names})
  string(REGEX REPLACE "(@.*)?\n" "" name "${name}")
  if(NOT name STREQUAL "L2O_0")  # the name of the version node itself
    list(APPEND exported ${name})
  endif()
endforeach()

file(READ ${HEADER} header)
string(REGEX MATCHALL "\nL2O_API [^;(]*\\(" declarations "${header}")
set(declared "")
foreach(declaration ${declarations})
  string(REGEX REPLACE ".*(l2o_[a-z_]+)\\($" "\\1" name "${declaration}")
  list(APPEND declared ${name})
endforeach()

list(SORT exported)
list(SORT declared)
list(LENGTH declared count)
if(count LESS 35)
  message(FATAL_ERROR "found only ${count} functions in ${HEADER}")
endif()
if(NOT exported STREQUAL declared)
  message(FATAL_ERROR "exported:\n  ${exported}\ndeclared in l2o.h:\n  ${declared}")
endif()
message(STATUS "exactly the ${count} declared functions are exported")
