"""How the package finds the library and the models that ship."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import l2o
from l2o import _library

PACKAGE = Path(l2o.__file__).parent


class LibraryTest(unittest.TestCase):
    @unittest.skipIf((PACKAGE / _library.SONAME).exists(), "a wheel uses its own library")
    def test_a_library_of_the_environment_that_cannot_be_loaded(self):
        for file, message in (
            ("/nowhere/libl2o.so.0", "cannot open shared object file"),
            (str(PACKAGE), "irectory"),
            (__file__, "invalid ELF header"),
        ):
            environment = {**os.environ, "L2O_LIBRARY": file, "PYTHONPATH": str(PACKAGE.parent)}
            result = subprocess.run(
                [sys.executable, "-c", "import l2o"], capture_output=True, text=True, env=environment
            )
            self.assertEqual(result.returncode, 1)
            self.assertRegex(
                result.stderr,
                f"ImportError: the library {file} of the environment variable L2O_LIBRARY cannot be loaded: "
                f".*{message}",
            )


class ModelTest(unittest.TestCase):
    def test_a_directory_does_not_hide_a_model_that_ships(self):
        self.addCleanup(os.chdir, os.getcwd())
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            shipped = l2o.Optimizer.load("quadratic").fingerprint()
            os.mkdir("quadratic")
            self.assertEqual(l2o.Optimizer.load("quadratic").fingerprint(), shipped)
            os.rmdir("quadratic")
            mine = l2o.Optimizer({"hidden": 4})
            mine.save("quadratic")
            self.assertEqual(l2o.Optimizer.load("quadratic").fingerprint(), mine.fingerprint())


if __name__ == "__main__":
    unittest.main()
