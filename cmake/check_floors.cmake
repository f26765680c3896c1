# Tests the floors of docs/architecture.md: reads every #include in kernels/ and host/ and fails on a
# dependency that is not shown there.  cmake -DROOT=<source dir> -P check_floors.cmake
#
# may_include(FLOOR DIRECTORIES...): sources under FLOOR may include project headers only from these
# directories (and from FLOOR itself).
set(violations "")

function(may_include floor)
  file(GLOB_RECURSE sources ${ROOT}/${floor}/*.h ${ROOT}/${floor}/*.cpp ${ROOT}/${floor}/*.cu ${ROOT}/${floor}/*.cuh)
  foreach(source ${sources})
    # Headers of this project count with quotes and with angle brackets.
    file(STRINGS ${source} includes REGEX "^ *# *include *(\"|<(host|kernels|tests|bench)/)")
    foreach(line ${includes})
      string(REGEX REPLACE "^ *# *include *[\"<]([^\">]+)[\">].*" "\\1" header "${line}")
      set(allowed FALSE)
      foreach(prefix ${floor} ${ARGN})
        string(FIND "${header}" "${prefix}/" position)
        if(position EQUAL 0 OR header STREQUAL prefix)
          set(allowed TRUE)
        endif()
      endforeach()
      # Highway's convention is to include its headers with quotes.
      if(header MATCHES "^hwy/")
        set(allowed TRUE)
      endif()
      if(NOT allowed)
        file(RELATIVE_PATH name ${ROOT} ${source})
        list(APPEND violations "${name} includes ${header}")
      endif()
    endforeach()
  endforeach()
  set(violations "${violations}" PARENT_SCOPE)
endfunction()

set(args kernels/op_args.h kernels/optimizee_args.h kernels/step_factors.h kernels/op_list.h kernels/op_cost.h kernels/host_device.h kernels/precision.h)

may_include(kernels/math kernels/host_device.h)
may_include(kernels/cells kernels/math kernels/host_device.h)
may_include(kernels/cpu kernels/cells kernels/math ${args})
may_include(kernels/cuda kernels/cells kernels/math ${args})
may_include(host/core)
may_include(host/backend host/core kernels/cpu kernels/cuda kernels/cells kernels/math ${args})
may_include(host/data host/core)
may_include(host/optimizer host/backend host/core kernels/cells kernels/math ${args})
may_include(host/optimizee host/backend host/data host/core kernels/math ${args})
may_include(host/meta host/optimizer host/optimizee host/backend host/core kernels/cells kernels/math ${args})
may_include(host/comm host/core)
may_include(host/engine host/comm host/meta host/optimizer host/optimizee host/backend host/core kernels/cells kernels/math ${args})
may_include(host/include)
may_include(host/capi host/include host/engine host/meta host/optimizer host/optimizee host/data host/backend host/core kernels/cells kernels/math)
may_include(host/cli host/comm host/engine host/meta host/optimizer host/optimizee host/backend host/core kernels/cells)

# may_not_include(PATTERN WHY SOURCES...): no source includes a header that begins with PATTERN,
# except those that match EXCEPT.
function(may_not_include pattern why)
  cmake_parse_arguments(rule "" "EXCEPT" "SOURCES" ${ARGN})
  foreach(source ${rule_SOURCES})
    file(STRINGS ${source} includes REGEX "^ *# *include *[\"<]${pattern}")
    if(rule_EXCEPT)
      list(FILTER includes EXCLUDE REGEX "${rule_EXCEPT}")
    endif()
    if(includes)
      file(RELATIVE_PATH name ${ROOT} ${source})
      list(APPEND violations "${name} ${why}: ${includes}")
    endif()
  endforeach()
  set(violations "${violations}" PARENT_SCOPE)
endfunction()

# Only the program uses MPI: libl2o does not link it.
file(GLOB_RECURSE sources ${ROOT}/host/*.h ${ROOT}/host/*.cpp ${ROOT}/kernels/*.h ${ROOT}/kernels/*.cpp)
list(FILTER sources EXCLUDE REGEX "/host/(cli|comm/mpi)/")
may_not_include("(host/comm/mpi/|mpi\\.h)" "depends on MPI" SOURCES ${sources})

# Only a device's backend may use its launchers.
file(GLOB_RECURSE above ${ROOT}/host/*.h ${ROOT}/host/*.cpp)
list(FILTER above EXCLUDE REGEX "/host/backend/((cpu|cuda)_backend\\.cpp|cuda_[a-z_]+\\.(h|cpp))$")
may_not_include("(kernels/(cpu|cuda)/|cuda)" "depends on a device" SOURCES ${above})

# Of host/backend, others may include only the interface itself and code shared by all backends.
list(FILTER above EXCLUDE REGEX "/host/backend/")
may_not_include("host/backend/" "bypasses backend.h" SOURCES ${above}
                EXCEPT "/(backend|buffer|checked_size|recompute_plan)\\.h[\">]")

if(violations)
  list(JOIN violations "\n  " text)
  message(FATAL_ERROR "floor violations:\n  ${text}")
endif()
message(STATUS "no floor violations")
