# The floors of docs/architecture.md as a test: reads every #include of kernels/ and host/ and fails
# on an arrow that is not drawn there.  cmake -DROOT=<source dir> -P check_floors.cmake
#
# may_include(FLOOR DIRECTORIES...): sources below FLOOR may include project headers below these
# directories only (and below FLOOR itself).
set(violations "")

function(may_include floor)
  file(GLOB_RECURSE sources ${ROOT}/${floor}/*.h ${ROOT}/${floor}/*.cpp ${ROOT}/${floor}/*.cu ${ROOT}/${floor}/*.cuh)
  foreach(source ${sources})
    # Whatever the brackets, a header of this project is one.
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
      # Third-party headers are included with quotes by Highway's own convention.
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
may_include(host/engine host/meta host/optimizer host/optimizee host/backend host/core kernels/cells kernels/math ${args})
may_include(host/include)
may_include(host/capi host/include host/engine host/meta host/optimizer host/optimizee host/data host/backend host/core kernels/cells kernels/math)
may_include(host/cli host/engine host/meta host/optimizer host/optimizee host/backend host/core kernels/cells)

# Launchers of a device are the business of its backend alone.
file(GLOB_RECURSE above ${ROOT}/host/*.h ${ROOT}/host/*.cpp)
list(FILTER above EXCLUDE REGEX "/host/backend/((cpu|cuda)_backend\\.cpp|cuda_[a-z_]+\\.(h|cpp))$")
foreach(source ${above})
  file(STRINGS ${source} includes REGEX "^ *# *include *[\"<](kernels/(cpu|cuda)/|cuda)")
  if(includes)
    file(RELATIVE_PATH name ${ROOT} ${source})
    list(APPEND violations "${name} knows a device: ${includes}")
  endif()
endforeach()

# Nor is anything of host/backend but the seam itself and what is the same for every backend.
list(FILTER above EXCLUDE REGEX "/host/backend/")
foreach(source ${above})
  file(STRINGS ${source} includes REGEX "^ *# *include *[\"<]host/backend/")
  list(FILTER includes EXCLUDE REGEX "/(backend|buffer|checked_size|recompute_plan)\\.h[\">]")
  if(includes)
    file(RELATIVE_PATH name ${ROOT} ${source})
    list(APPEND violations "${name} looks behind backend.h: ${includes}")
  endif()
endforeach()

if(violations)
  list(JOIN violations "\n  " text)
  message(FATAL_ERROR "broken floors:\n  ${text}")
endif()
message(STATUS "floors hold")
