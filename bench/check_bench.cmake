# Runs one small case of every bench and looks for its counters.  cmake -DBENCH=<l2o_bench> -P check_bench.cmake
execute_process(
  COMMAND ${BENCH} --l2o_threads=2 --benchmark_min_time=0.001 --benchmark_format=json
          --benchmark_filter=N:1000/|simple|quadratic/tasks:1/|mnist/tasks:1/
  OUTPUT_VARIABLE output RESULT_VARIABLE result ERROR_VARIABLE errors)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${BENCH} ended with ${result}:\n${output}\n${errors}")
endif()

string(JSON fma_peak GET "${output}" context fma_peak_gflops)
string(JSON bandwidth GET "${output}" context memory_gigabytes_per_second)
if(NOT fma_peak GREATER 0 OR NOT bandwidth GREATER 0)
  message(FATAL_ERROR "no roofs: ${fma_peak} GFLOP/s, ${bandwidth} GB/s")
endif()

set(expected step/lstm unroll_backward/lstm step/adam step/sgd optimizee/simple optimizee/quadratic
             optimizee/mnist meta_training_unroll/quadratic meta_training_unroll/mnist)
string(JSON count LENGTH "${output}" benchmarks)
math(EXPR last "${count} - 1")
foreach(index RANGE ${last})
  string(JSON name GET "${output}" benchmarks ${index} name)
  foreach(counter coordinate-steps/s GFLOP/s GB/s percent_of_roof)
    string(JSON value ERROR_VARIABLE missing GET "${output}" benchmarks ${index} ${counter})
    # Only matrix products count as FLOPs; the hand-designed rules have none.
    if(missing OR (NOT value GREATER 0 AND NOT (counter STREQUAL "GFLOP/s" AND name MATCHES "^step/(sgd|adam)/")))
      message(FATAL_ERROR "${name}: ${counter} is '${value}'")
    endif()
  endforeach()
  foreach(prefix ${expected})
    if(name MATCHES "^${prefix}/")
      list(REMOVE_ITEM expected ${prefix})
    endif()
  endforeach()
endforeach()
if(expected)
  message(FATAL_ERROR "not run: ${expected}; the benches that ran:\n${output}")
endif()
message(STATUS "${count} benches ran")
