#!/usr/bin/env python3
"""Predicts the speed of the learned rule's kernels on a GPU from their machine code, without running them.

    bench/gpu/predict.py OBJECT [--cuobjdump PROGRAM] [--gpu H200|H100] [--counts]

OBJECT holds the kernels for H = 20, L = 2, sm_90:
<build>/CMakeFiles/l2o_kernels_cuda.dir/lstm_shapes/LogAndSignRule_h20_l2.cu.o
after `cmake --preset gpu && cmake --build --preset gpu`, or is a file with the extension .sass that contains the output
of `cuobjdump -sass`.

It analyzes the main loops of each kernel: for the step, its loop over tiles; for the unroll backward, the replay and
the backward pass. Their instructions yield

- bounds: how long each pipe is busy with them, which is the time they take if the warps never wait for anything else;
- a prediction, from a simulation: the warps of a multiprocessor issue them with the stall counts set by the compiler,
  and wait for scoreboards and busy pipes. Memory latencies are typical values.

At an if-else, half of the warps take each path; the body of an if without an else is always executed.
"""

import argparse
import collections
import re
import subprocess
import sys

# ------------------------------------------------------------------------------------------ the GPU
# Hopper. A multiprocessor has four schedulers, each with its own pipes, except for LSU, which they share.
SCHEDULERS = 4
CLOCK = 1.755e9
GPUS = {"H200": (132, 4.3e12), "H100": (132, 3.0e12)}  # multiprocessors, measured bytes per second
ROUND_TRIP = {"shared": 30, "global": 600, "special": 24}  # clocks until a result is available
# Bytes of DRAM traffic per coordinate-step (kernels/op_cost.h). The backward pass also writes and reads recompute
# checkpoints: L2 holds only part of those of all blocks, 108, 81 or 54 MB.
STEP_BYTES = {"f32": 652, "mixed": 492, "half": 332}
BACKWARD_BYTES = {"f32": 20.2 + 640, "mixed": 16.2 + 480, "half": 12.2 + 320}

Instruction = collections.namedtuple("Instruction", "address guard opcode operands stall write read wait")


def lsu_clocks(opcode):
    """Number of 128-byte wavefronts of a warp's access, without bank conflicts; each takes one clock."""
    if opcode.startswith("LDGSTS"):
        return 2  # through the cache, into shared memory
    if ".x4" in opcode or ".4" in opcode or ".128" in opcode or ".M88.4" in opcode:
        return 4
    return 2 if ".64" in opcode or ".M88.2" in opcode else 1


def pipe_of(opcode):
    """Returns the pipe that executes the instruction, and for how many clocks it is busy. Each scheduler has its own;
    LSU belongs to the multiprocessor."""
    name = opcode.split(".")[0]
    if name == "HMMA":
        return "HMMA", 8 if "16816" in opcode else 4
    if name == "MUFU":
        return "MUFU", 8
    if name in ("LDS", "LDSM", "STS", "STSM", "LDG", "STG", "LDGSTS", "LDL", "STL", "SHFL"):
        return "LSU", lsu_clocks(opcode)
    if name in ("FADD", "FMUL", "FFMA", "HFMA2", "HADD2", "HMUL2", "IMAD"):
        return "FMA", 1
    if name in ("BAR", "BRA", "BSSY", "BSYNC", "WARPSYNC", "EXIT", "NOP", "YIELD", "LDGDEPBAR", "DEPBAR") or name.startswith("U"):
        return "other", 1
    return "ALU", 2


def latency_of(opcode):
    name = opcode.split(".")[0]
    if name in ("LDG", "LDL"):
        return ROUND_TRIP["global"]
    return ROUND_TRIP["special" if name == "MUFU" else "shared"]


# ----------------------------------------------------------------------------------------- the code


def kernels(sass):
    """Returns a map from (op, precision) to the kernel's instructions."""
    found, code, pending = {}, None, None
    for line in sass.splitlines():
        function = re.search(r"Function : (\S+)", line)
        if function:
            name = re.search(r"lstm_(step|unroll_backward)_kernelINS0_12LstmGeometryILi20ELi2E\S*PrecisionE(\d)E(Lb(\d))?", line)
            code = None
            if name and name[4] != "1":  # the step that saves nothing
                code = found.setdefault((name[1], ("f32", "mixed", "half")[int(name[2])]), [])
            continue
        if code is None:
            continue
        text = re.match(r"\s+/\*([0-9a-f]{4,})\*/\s+(?:@(!?U?P\w+) )?\s*([A-Z][A-Z0-9_.a-z]*)(.*?);", line)
        if text:
            pending = (int(text[1], 16), text[2], text[3], text[4])
            continue
        word = re.match(r"\s+/\* 0x([0-9a-f]{16}) \*/", line)
        if word and pending:
            control = int(word[1], 16) >> 41
            fields = (control & 15, control >> 5 & 7, control >> 8 & 7, control >> 11 & 63)
            code.append(Instruction(*pending, *fields))
            pending = None
    return found


def target(instruction):
    """Target address of a branch, otherwise None; ignores BRA.DIV, which is for divergent warps."""
    address = re.search(r"0x([0-9a-f]+)\s*$", instruction.operands)
    return int(address[1], 16) if instruction.opcode == "BRA" and address else None


def loops(code):
    """Returns the innermost loops with matrix products, in order of their addresses."""
    end = max(i.address for i in code if i.opcode == "EXIT" and not i.guard)  # code after it is rarely executed
    back = [i for i in code if target(i) is not None and target(i) < i.address < end]
    spans = [(target(i), i.address) for i in back]
    bodies = [[i for i in code if first <= i.address <= last] for first, last in sorted(spans)]
    bodies = [b for b in bodies if any(i.opcode.startswith("HMMA") for i in b)]
    return [b for b in bodies if not any(o is not b and set(o) < set(b) for o in bodies)]


def path(body, branch):
    """Returns the instructions of the loop that a warp executes; branch: which path of an if-else it takes, 0 or 1."""
    taken, skip_to = [], 0
    for place, instruction in enumerate(body):
        if instruction.address < skip_to:
            continue
        taken.append(instruction)
        to = target(instruction)
        if to is None or to <= instruction.address:
            continue
        if instruction.guard is None:
            skip_to = to
            continue
        inside = [i for i in body[place + 1 :] if i.address < to]
        is_if_else = bool(inside) and inside[-1].guard is None and (target(inside[-1]) or 0) > to
        if is_if_else and branch:
            skip_to = to
    return taken


# ---------------------------------------------------------------------------------------- the model


def counts(body):
    """Clocks of each pipe for one warp's iteration, the mean over its paths."""
    clocks = collections.Counter()
    for branch in (0, 1):
        for instruction in path(body, branch):
            pipe, cost = pipe_of(instruction.opcode)
            clocks[pipe] += cost / 2
            clocks["issue"] += 1 / 2
    return clocks


class Warp:
    def __init__(self, code):
        self.code, self.place, self.ready, self.boards = code, 0, 0, [0] * 6
        self.copied = 0  # when all its copies to shared memory are complete


def simulate(body, warps, iterations=4):
    """Clocks per iteration with all warps of a multiprocessor running concurrently."""
    paths = [path(body, branch) for branch in (0, 1)]
    all_warps = [Warp(paths[(w // SCHEDULERS) % 2] * iterations) for w in range(warps)]
    schedulers = [all_warps[s::SCHEDULERS] for s in range(SCHEDULERS)]
    free = collections.Counter()  # when each pipe is free
    arrived, now = [], 0
    while any(w.place < len(w.code) for w in all_warps):
        soonest = None
        for number, own in enumerate(schedulers):
            for warp in own:
                if warp.place == len(warp.code):
                    continue
                i = warp.code[warp.place]
                pipe, cost = pipe_of(i.opcode)
                at = max([warp.ready] + [warp.boards[b] for b in range(6) if i.wait >> b & 1])
                key = pipe if pipe == "LSU" else (number, pipe)
                queue = 32 if pipe == "LSU" else 0  # accesses wait in a queue without blocking the warp
                at = max(at, free[key] - queue, warp.copied if i.opcode.startswith("DEPBAR") else 0)
                if at > now:
                    soonest = at if soonest is None else min(soonest, at)
                    continue
                if i.opcode.startswith("BAR"):
                    arrived.append(warp)
                    warp.ready = float("inf")
                    if len(arrived) == warps:
                        for w in arrived:
                            w.place, w.ready = w.place + 1, now + 20
                        arrived = []
                    break
                free[key] = max(free[key], now) + cost
                for board, latency in ((i.write, latency_of(i.opcode)), (i.read, 12)):
                    if board < 6:
                        warp.boards[board] = max(warp.boards[board], max(now, free[key]) + latency)
                if i.opcode.startswith("LDGSTS"):
                    warp.copied = max(now, free[key]) + ROUND_TRIP["global"]
                warp.ready = now + max(i.stall, 1)
                warp.place += 1
                own.append(own.pop(own.index(warp)))  # round-robin
                break
            else:
                continue
            soonest = now + 1
        now = max(now + 1, soonest if soonest not in (None, float("inf")) else now + 1)
    return now / iterations


def predict(op, precision, code, gpu):
    """Returns the rates in coordinate-steps per second, by pipe and overall; the clocks of every loop; and the clocks
    for which each pipe is busy."""
    multiprocessors, bandwidth = GPUS[gpu]
    warps, coordinates = (16, 32) if op == "step" else (8, 16)  # per multiprocessor; per warp
    bodies = loops(code)
    per_second = multiprocessors * CLOCK * coordinates  # if a warp finishes an iteration in every clock
    rates = {}
    busy = sum((counts(body) for body in bodies), collections.Counter())
    for pipe in ("LSU", "HMMA", "MUFU", "FMA", "ALU", "issue"):
        units = 1 if pipe == "LSU" else SCHEDULERS
        rates[pipe] = per_second * units / busy[pipe]
    bytes_moved = (STEP_BYTES if op == "step" else BACKWARD_BYTES)[precision]
    rates["DRAM"] = bandwidth / bytes_moved
    clocks = [simulate(body, warps) for body in bodies]
    rates["predicted"] = min(per_second * warps / sum(clocks), rates["DRAM"])
    return rates, clocks, busy


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("object")
    parser.add_argument("--cuobjdump", default="cuobjdump")
    parser.add_argument("--gpu", choices=GPUS, default="H200")
    parser.add_argument("--counts", action="store_true", help="also print the clocks of each pipe per coordinate-step")
    options = parser.parse_args()
    if options.object.endswith(".sass"):
        with open(options.object, encoding="utf-8") as file:
            sass = file.read()
    else:
        sass = subprocess.run([options.cuobjdump, "-sass", options.object], check=True, capture_output=True, text=True).stdout
    found = kernels(sass)
    if len(found) != 6:
        sys.exit(f"expected six kernels for H = 20, L = 2 in {options.object}, found {sorted(found)}")
    pipes = ["LSU", "HMMA", "MUFU", "FMA", "ALU", "issue", "DRAM"]
    print(f"Predicted for an {options.gpu} from the machine code, in 1e9 coordinate-steps/s.")
    print("Clocks: for one iteration of each loop by all warps of a multiprocessor.\n")
    print("| kernel | predicted | " + " | ".join(pipes) + " | clocks |")
    print("|---" * (len(pipes) + 3) + "|")
    for op in ("step", "unroll_backward"):
        for precision in ("f32", "mixed", "half"):
            rates, clocks, busy = predict(op, precision, found[op, precision], options.gpu)
            figures = " | ".join(f"{rates[pipe] * 1e-9:.1f}" for pipe in pipes)
            print(f"| `{op}`, {precision} | {rates['predicted'] * 1e-9:.1f} | {figures} | {' + '.join(f'{c:.0f}' for c in clocks)} |")
            if options.counts:
                coordinates = 32 if op == "step" else 16
                each = ", ".join(f"{pipe} {busy[pipe] / coordinates:.2f}" for pipe in pipes[:-1])
                print(f"  clocks per coordinate-step, per scheduler (LSU: per multiprocessor): {each}", file=sys.stderr)


if __name__ == "__main__":
    main()
