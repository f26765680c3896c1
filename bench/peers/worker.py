"""One contestant's process: answers commands, one JSON object per line, until its input ends.

  {"command": "prepare", "slot": ..., "op": ..., "variant": ..., "chunk": ..., "n": ...}   -> {}
      sets up the operation over the first n coordinates, in chunks of at most `chunk`, and warms up
  {"command": "run", "slot": ..., "calls": k}                                -> {"seconds": s}
  {"command": "results", "slot": ..., "path": FILE}                          -> {}
      starts afresh and writes float32: for `step`, theta [n] and state [S, n] after T steps; for
      `unroll_backward`, the meta-gradient [P]; for `mnist_episode`, the mean loss of an episode and
      the largest change of a meta-parameter in it
  {"command": "drop", "slot": ...}, {"command": "clear"}                     -> {}
      free the memory of a slot, of all slots

The first line that it prints is a description. bench/peer_worker.cpp does the same for the engine.
"""

import argparse
import gc
import json
import os
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--problem", required=True, help="directory of the problem's files")
    parser.add_argument("--first", type=int, required=True, help="first coordinate of this process")
    parser.add_argument("--count", type=int, required=True, help="number of its coordinates")
    parser.add_argument("--cores", required=True, help="cores to run on: 0,1")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    return parser.parse_args()


def even_chunk(n, at_most):
    """The largest size that divides n and is at most `at_most`: every chunk has the same shape, so a
    compiler compiles once."""
    return max(size for size in range(1, min(n, at_most) + 1) if n % size == 0)


def serve(description, make_operation):
    """make_operation(op, variant, chunk, n) returns an object with warm_up(), run(calls) and results()."""
    # Output of libraries must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    answer(description)
    slots = {}
    for line in sys.stdin:
        message = json.loads(line)
        try:
            answer(_obey(message, slots, make_operation))
        except Exception as error:  # the caller decides what it means
            answer({"error": f"{type(error).__name__}: {error}"[:2000]})


def _obey(message, slots, make_operation):
    command, slot = message["command"], message.get("slot")
    if command == "prepare":
        slots.pop(slot, None)  # frees its memory before the next one is prepared
        gc.collect()
        chunk = even_chunk(message["n"], message["chunk"])
        slots[slot] = make_operation(message["op"], message["variant"], chunk, message["n"])
        slots[slot].warm_up()
        return {}
    if command == "run":
        gc.disable()
        start = time.perf_counter()
        slots[slot].run(message["calls"])
        seconds = time.perf_counter() - start
        gc.enable()
        return {"seconds": seconds}
    if command == "results":
        slots[slot].results().tofile(message["path"])
        return {}
    if command == "drop":
        slots.pop(slot, None)
        gc.collect()
        return {}
    if command == "clear":
        slots.clear()
        gc.collect()
        return {}
    raise ValueError(f"unknown command {command}")
