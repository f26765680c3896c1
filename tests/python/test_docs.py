"""Runs the programs in docs/python.md."""

import contextlib
import io
import math
import re
import unittest
from importlib.util import find_spec
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs/python.md"
PROGRAM = re.compile(r"<!-- program: (\w+) -->\n```python\n(.*?)```", re.S)


class ProgramsTest(unittest.TestCase):
    def test_every_program_runs_and_prints_a_loss(self):
        programs = PROGRAM.findall(DOCS.read_text())
        self.assertEqual([needs for needs, _ in programs], ["torch", "torch", "numpy", "jax", "jax"])
        for needs, program in programs:
            if find_spec(needs) is None:
                continue
            with self.subTest(program[:60]):
                output = io.StringIO()
                with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
                    exec(compile(program, str(DOCS), "exec"), {"__name__": "__main__"})
                loss = float(output.getvalue())
                self.assertTrue(math.isfinite(loss) and loss < 3, output.getvalue())


if __name__ == "__main__":
    unittest.main()
