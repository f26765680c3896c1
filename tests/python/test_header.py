"""Compares the package's table of functions, structs and values with the C header."""

import ctypes
import re
import unittest
from pathlib import Path

import l2o
from l2o import _context, _library

HEADER = Path(__file__).parents[2] / "host/include/l2o/l2o.h"
TEXT = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
# The types of C parameters and members, and the ctypes type that each must be passed as.
INTEGERS = {
    "int": ctypes.c_int,
    "size_t": ctypes.c_size_t,
    "int64_t": ctypes.c_int64,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "l2o_status": ctypes.c_int,
    "l2o_backend": ctypes.c_int,
    "l2o_precision": ctypes.c_int,
    "l2o_nan_policy": ctypes.c_int,
}


def is_pointer(kind):
    simple = (ctypes.c_void_p, ctypes.c_char_p)
    return kind in simple or hasattr(kind, "contents") or issubclass(kind, ctypes._CFuncPtr)


def enumeration(name):
    body = re.search(r"typedef L2O_ENUM\(%s\) \{(.*?)\}" % name, TEXT, re.S).group(1)
    return {key: int(value) for key, value in re.findall(r"(\w+) = (\d+)", body)}


class HeaderTest(unittest.TestCase):
    def test_every_function_is_declared_with_its_types(self):
        functions = re.findall(r"L2O_API ([\w \*]+?)(l2o_\w+)\(([^)]*)\);", TEXT)
        self.assertEqual({name for _, name, _ in functions}, set(_library.SIGNATURES))
        for result, name, parameters in functions:
            ours_result, ours = _library.SIGNATURES[name]
            kinds = [] if parameters.strip() == "void" else parameters.split(",")
            with self.subTest(name):
                self.assert_kind(result.strip(), ours_result)
                self.assertEqual(len(kinds), len(ours))
                for kind, our in zip(kinds, ours):
                    self.assert_kind(re.sub(r"\w+$", "", kind.strip()).strip(), our)

    def test_structs_have_the_header_s_members(self):
        structs = {
            "l2o_context_options": _library.ContextOptions,
            "l2o_data": _library.DataStruct,
            "l2o_objective": _library.ObjectiveCallbacks,
            "l2o_step_options": _library.StepOptions,
            "l2o_tensor": _library.TensorStruct,
            "l2o_train_report": _library.TrainReportStruct,
        }
        for name, ours in structs.items():
            body = re.search(r"typedef struct %s \{(.*?)\n\}" % name, TEXT, re.S).group(1)
            members = [member.strip() for member in body.split(";") if member.strip()]
            with self.subTest(name):
                self.assertEqual(len(members), len(ours._fields_))
                for member, (our_name, our) in zip(members, ours._fields_):
                    function = re.match(r"int \(\*(\w+)\)\((.*)\)", member, re.S)
                    if function:
                        self.assertEqual(function.group(1), our_name)
                        kinds = function.group(2).split(",")
                        self.assertEqual(len(kinds), len(our._argtypes_))
                        for kind, argument in zip(kinds, our._argtypes_):
                            self.assert_kind(re.sub(r"\w+$", "", kind.strip()).strip(), argument)
                    else:
                        self.assertEqual(re.search(r"\w+$", member).group(), our_name)
                        self.assert_kind(re.sub(r"\w+$", "", member).strip(), our)

    def test_values_of_enumerations(self):
        ours = {f"L2O_{status.name}": status.value for status in l2o.Status}
        self.assertEqual(ours, enumeration("l2o_status"))
        ours = {f"L2O_NAN_{policy.name}": policy.value for policy in l2o.NanPolicy}
        self.assertEqual(ours, enumeration("l2o_nan_policy"))
        ours = {f"L2O_BACKEND_{name.upper()}": value for name, value in _context._BACKENDS.items()}
        self.assertEqual(ours, enumeration("l2o_backend"))

    def test_version(self):
        header = [int(re.search(rf"L2O_VERSION_{part} (\d+)", TEXT).group(1)) for part in
                  ("MAJOR", "MINOR", "PATCH")]
        self.assertEqual(l2o.version(), ".".join(map(str, header)))
        self.assertEqual(l2o.__version__, l2o.version())

    def assert_kind(self, declared, ours):
        if declared == "void":
            self.assertIsNone(ours)
        elif "*" in declared:
            self.assertTrue(is_pointer(ours), f"{declared} is {ours}")
        else:
            self.assertIs(ours, INTEGERS[declared])


if __name__ == "__main__":
    unittest.main()
