"""Rewrites the seeds of the fuzz corpus: real files made by the program, and damaged versions of them.

usage: make_corpus.py PATH_TO_L2O

Files named valid_* must be accepted. Inputs found by fuzzing (crash_*) are left unchanged.
"""

import gzip
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

CORPUS = pathlib.Path(__file__).parent / "corpus"

RUN = """
seed = 3
[task]
name = "simple"
dimension = 2
[optimizer]
layers = {layers}
hidden = 2
[train]
episodes = 2
steps = 6
unroll_length = 3
checkpoint_every = 1
[evaluation]
runs = 2
"""

TWO_RULES = """
[task]
name = "simple"
dimension = 2
convex = 2
[optimizer.convex]
parameters = ["convex"]
hidden = 2
[optimizer.rest]
parameters = ["*"]
hidden = 3
[train]
episodes = 1
steps = 4
unroll_length = 2
[evaluation]
runs = 2
"""

FULL_CONFIG = b"""# Every key once.
seed = 7
[optimizer]
cell = "lstm"
layers = 1
hidden = 8
preprocessing = "identity"
p = 10.0
output_scale = 0.1
output_init = "truncated_normal"
[train]
episodes = 10
steps = 4
unroll_length = 2
tasks = 3
loss_weights = [0.0, 0.5, 1e0]
recompute_budget = 0x10
max_skipped_updates = 1_000
checkpoint_every = 5
[meta_optimizer]
learning_rate = 3e-3
schedule = 'exponential'
final_fraction = 0.5
beta1 = 0.9
beta2 = 0.99
epsilon = 1e-8
clip_norm = 1
[evaluation]
every = 1
runs = 2
steps = 3
"""


def write(target, name, content):
    directory = CORPUS / target
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(content)


def flipped(content, byte, bit=0):
    changed = bytearray(content)
    changed[byte] ^= 1 << bit
    return bytes(changed)


def train(program, config):
    """The model of a run and its training checkpoints, in order."""
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        (directory / "run.toml").write_text(config)
        run = directory / "run"
        subprocess.run([program, "train", directory / "run.toml", "--out", run, "--threads", "1",
                        "--device", "cpu"], check=True, capture_output=True)
        checkpoints = [path.read_bytes() for path in sorted(run.glob("checkpoint-*.bin"))]
        return (run / "best.safetensors").read_bytes(), checkpoints


def write_runs(program):
    two_rules, _ = train(program, TWO_RULES)
    write("model", "valid_two_rules", two_rules)
    write("model", "rule_without_keys", two_rules.replace(b"convex,rest", b"convex,conv"))
    for layers in (0, 1):
        # One checkpoint in the middle of an episode, with theta and state, and one at the end.
        model, (middle, end) = train(program, RUN.format(layers=layers))
        write("model", f"valid_{layers}_layers", model)
        write("checkpoint", f"valid_{layers}_layers_middle", middle)
        write("checkpoint", f"valid_{layers}_layers_end", end)

    write("model", "empty", b"")
    write("model", "cut_in_header", model[:100])
    write("model", "cut_in_tensors", model[:-4])
    write("model", "wrong_value", flipped(model, len(model) - 1, 3))
    write("model", "header_longer_than_file", b"\xff" * 8 + model[8:])
    write("model", "too_many_layers", model.replace(b'"layers":"1"', b'"layers":"9"'))
    write("model", "scale_not_a_number",
          model.replace(b'"output_scale":"0.1"', b'"output_scale":"nan"'))

    write("checkpoint", "empty", b"")
    write("checkpoint", "magic_alone", b"L2OTRAIN")
    write("checkpoint", "cut", middle[:-9])
    write("checkpoint", "another_version", flipped(middle, 8, 0))
    array_length = 8 + 4 + 5 * 8  # of the members' episodes, after magic, version and 5 numbers
    write("checkpoint", "array_of_2_to_63", flipped(middle, array_length + 7, 7))


def write_configs():
    write("config", "valid_empty", b"")
    write("config", "valid_full", FULL_CONFIG)
    write("config", "valid_dotted", b"train.steps = 5\noptimizer = {hidden = 3}\r\n")
    write("config", "valid_list", FULL_CONFIG.replace(b"1e0", b"+1_0.5e-1"))
    write("config", "unknown_key", b"[train]\nstep = 5\n")
    write("config", "out_of_range", b"[optimizer]\nhidden = 9223372036854775807\n")
    write("config", "wrong_type", b"[train]\nsteps = 1979-05-27T07:32:00Z\n")
    write("config", "table_for_value", b"[train.steps]\nx = 1\n")
    write("config", "array_of_tables", b"[[train]]\nsteps = 1\n[[train]]\n")
    write("config", "twice", b"seed = 1\nseed = 2\n")
    write("config", "not_utf8", b"seed = \"\xff\xfe\"\n")
    write("config", "open_string", b"[train]\nloss_weights = \"\"\"all")
    write("config", "deep", b"x = " + b"[" * 200)


def write_idx():
    images = bytes.fromhex("00000803 00000002 00000002 00000003") + bytes(range(12))
    labels = bytes.fromhex("00000801 00000005") + bytes(range(5))
    write("idx", "valid_images", images)
    write("idx", "valid_labels", labels)
    write("idx", "valid_images_gz", gzip.compress(images, mtime=0))
    write("idx", "valid_labels_gz", gzip.compress(labels, mtime=0))
    write("idx", "valid_zeros_gz", gzip.compress(bytes.fromhex("00000801 00001000") + bytes(4096),
                                                 mtime=0))
    write("idx", "empty", b"")
    write("idx", "cut", images[:-1])
    write("idx", "longer", labels + b"\0")
    write("idx", "no_labels", labels[:4] + bytes(4))
    write("idx", "sizes_that_wrap", bytes.fromhex("00000803 ffffffff ffffffff ffffffff 00"))
    write("idx", "integers", flipped(images, 2, 2) + bytes(36))
    write("idx", "cut_gz", gzip.compress(images, mtime=0)[:-9])
    write("idx", "wrong_crc_gz", flipped(gzip.compress(images, mtime=0), -8))


def write_cifar():
    ten = bytes([7]) + bytes(i % 251 for i in range(3072))
    hundred = bytes([3, 99]) + ten[1:]
    write("cifar", "valid_10_gz", gzip.compress(ten * 3, mtime=0))
    write("cifar", "valid_100_gz", gzip.compress(hundred * 2, mtime=0))
    write("cifar", "empty", b"")
    write("cifar", "cut_gz", gzip.compress(ten * 2, mtime=0)[:-12])
    write("cifar", "part_of_a_record_gz", gzip.compress(ten + ten[:100], mtime=0))
    write("cifar", "label_100_gz", gzip.compress(bytes([3, 100]) + ten[1:], mtime=0))


def write_l2l():
    """Writes damaged versions of the files from make_l2l.py."""
    def valid(name):
        return (CORPUS / "l2l" / f"valid_{name}").read_bytes()

    dill = valid("python2_dill_protocol_2_float32_c")
    frames = valid("python3_dill_protocol_4_float32_c")
    buffers = valid("python3_pickle_protocol_5_float32_f")
    write("l2l", "empty", b"")
    write("l2l", "cut", dill[:-1])
    write("l2l", "longer", dill + b".")
    write("l2l", "runs_code", b"cos\nsystem\n(S'true'\ntR.")
    write("l2l", "other_type", dill.replace(b"DictType", b"FileType"))
    write("l2l", "half_precision", frames.replace(b"f4", b"f2"))
    write("l2l", "big_endian", dill.replace(b"U\x01<", b"U\x01>"))
    write("l2l", "long_text", frames.replace(b"\x8c\x06linear", b"\x8d" + b"\xff" * 8 + b"linear"))
    bias_shape = b"K\x0c\x85"
    write("l2l", "shape_that_wraps",
          dill.replace(bias_shape, b"\x8a\x08" + struct.pack("<q", 2**62 + 12) + b"\x85"))
    write("l2l", "negative_shape",
          dill.replace(bias_shape, b"J" + struct.pack("<i", -12) + b"\x85"))
    write("l2l", "broken_escape", b"S'\\x0g'\n.")
    write("l2l", "buffer_without_type", buffers.replace(b"\x8c\x02f4", b"\x8c\x02V4"))
    write("l2l", "contains_itself", b"}q\0U\x06linearh\0s.")
    write("l2l", "marks_alone", b"(" * 1000 + b".")
    write("l2l", "rnnprop_without_linear",
          frames.replace(b"\x8c\x06linear", b"\x8c\x10input_projection"))


def safetensors(**tensors):
    """A safetensors file; each tensor is (dtype, shape, bytes)."""
    header, content = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(content), len(content) + len(data)]}
        content += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def write_safetensors_sets():
    def put(name, **tensors):
        write("safetensors_set", name, safetensors(**tensors))

    images = ("U8", [2, 2, 2, 3], bytes(range(24)))
    numbers = ("F32", [2, 2], struct.pack("<4f", 0, 1, 2, 3))
    labels = ("I64", [2], struct.pack("<2q", 0, 4))
    put("valid_images", inputs=images, labels=labels, test_inputs=images, test_labels=labels)
    put("valid_targets", inputs=numbers, targets=numbers)
    put("valid_inputs_alone", inputs=numbers)
    put("no_values", inputs=("F32", [2, 0], b""))
    put("no_rows", inputs=("F32", [0, 2], b""), labels=("U8", [0], b""))
    put("sizes_that_wrap", inputs=("U8", [2**31, 2**31, 4], b""))
    put("too_large_a_row", inputs=("U8", [0, 2**20, 2**20], b""))
    put("negative_label", inputs=numbers, labels=("I8", [2], b"\0\xff"))
    put("large_label", inputs=numbers, labels=("U64", [2], struct.pack("<2Q", 0, 2**64 - 1)))
    put("labels_in_a_matrix", inputs=numbers, labels=("U8", [2, 1], b"\0\1"))
    put("few_labels", inputs=numbers, labels=("U8", [1], b"\0"))
    put("infinite", inputs=("F32", [1, 1], struct.pack("<f", float("inf"))))
    put("wide_targets", inputs=numbers, targets=("F32", [2, 2**30], b""))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write_runs(sys.argv[1])
    write_configs()
    write_l2l()
    write_idx()
    write_cifar()
    write_safetensors_sets()
