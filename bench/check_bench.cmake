# Runs one small case of every kind of benchmark and looks for its counters.
#   cmake -DBENCH=<l2o_bench> -DDEVICE=<cpu or cuda> -P check_bench.cmake
set(filter N:1000/ optimizee/.*tasks:1/ meta_training_unroll/quadratic/tasks:1/)
set(peaks fma_peak_gflops memory_gigabytes_per_second)
set(options --benchmark_min_time=0.001)
set(of_every_device step/adam step/sgd optimizee/simple optimizee/quadratic)
if(DEVICE STREQUAL cuda)
  # Recorded and not; on an emulated GPU whole networks would take minutes.
  list(APPEND peaks tensor_peak_gflops tanh_per_second exp2_per_second clock_of_tensor_cores_hertz)
  list(APPEND options --l2o_roof_memory=4000000)
  set(precisions f32 mixed half)
else()
  list(APPEND filter mnist/tasks:1/)
  list(APPEND options --l2o_threads=2)
  set(precisions f32)
endif()
list(JOIN filter "|" filter)

# check_benches(PRECISION EXPECTED...): checks that these benchmarks ran and have their counters.
function(check_benches precision)
  set(expected ${ARGN})
  execute_process(
    COMMAND ${BENCH} --l2o_device=${DEVICE} --l2o_precision=${precision} ${options} --benchmark_format=json
            --benchmark_filter=${filter}
    OUTPUT_VARIABLE output RESULT_VARIABLE result ERROR_VARIABLE errors)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${BENCH} ended with ${result}:\n${output}\n${errors}")
  endif()

  foreach(peak ${peaks})
    string(JSON value ERROR_VARIABLE missing GET "${output}" context ${peak})
    if(missing OR NOT value GREATER 0)
      message(FATAL_ERROR "the roof ${peak} is '${value}'")
    endif()
  endforeach()

  string(JSON count LENGTH "${output}" benchmarks)
  math(EXPR last "${count} - 1")
  foreach(index RANGE ${last})
    string(JSON name GET "${output}" benchmarks ${index} name)
    set(counters coordinate-steps/s GFLOP/s GB/s percent_of_roof)
    if(name MATCHES "^meta_training_unroll/")
      list(APPEND counters planned_MB taken_MB)
    endif()
    foreach(counter ${counters})
      string(JSON value ERROR_VARIABLE missing GET "${output}" benchmarks ${index} ${counter})
      # Only matrix products count as FLOPs; the hand-designed rules have none.
      if(missing OR (NOT value GREATER 0 AND NOT (counter STREQUAL "GFLOP/s" AND name MATCHES "^step/(sgd|adam)/")))
        message(FATAL_ERROR "${name}: ${counter} is '${value}'")
      endif()
    endforeach()
    foreach(prefix ${expected})
      string(FIND "${name}" "${prefix}/" position)
      if(position EQUAL 0)
        list(REMOVE_ITEM expected ${prefix})
      endif()
    endforeach()
  endforeach()
  if(expected)
    message(FATAL_ERROR "not run: ${expected}; the benchmarks that ran:\n${output}")
  endif()
  message(STATUS "${count} benchmarks ran")
endfunction()

foreach(precision ${precisions})
  if(NOT DEVICE STREQUAL cuda)
    check_benches(${precision} ${of_every_device} step/lstm unroll_backward/lstm optimizee/mnist
                  meta_training_unroll/quadratic meta_training_unroll/mnist meta_training_episode/mnist)
    continue()
  endif()
  set(expected step/lstm/L:2/H:20/${precision} unroll_backward/lstm/L:2/H:20/${precision}
               meta_training_unroll/quadratic/tasks:1/${precision})
  if(precision STREQUAL mixed) # precision-independent benchmarks run here as well
    list(APPEND expected ${of_every_device} meta_training_unroll/quadratic/tasks:1/mixed/unrecorded)
  endif()
  check_benches(${precision} ${expected})
endforeach()
