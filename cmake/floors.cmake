# l2o_floor(NAME DIRECTORY LINK TARGETS...): defines the static library l2o_NAME of all sources in a
# directory. Sources are globbed, so that adding an optimizee or a cell takes one file and one line.
function(l2o_floor name directory)
  cmake_parse_arguments(floor "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${directory}/*.cpp)
  # A subdirectory that is a separate floor.
  list(FILTER sources EXCLUDE REGEX "${directory}/mpi/[^/]+$")
  if(NOT L2O_CUDA)
    list(FILTER sources EXCLUDE REGEX "/cuda_[a-z_]+\\.cpp$")
  endif()
  add_library(l2o_${name} STATIC ${sources})
  set_target_properties(l2o_${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(l2o_${name} PUBLIC ${floor_LINK})
  l2o_target(l2o_${name})
endfunction()
