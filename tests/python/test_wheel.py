"""The wheel: built by pip from python/, installed in a new virtual environment, used there."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile
from importlib.util import find_spec
from pathlib import Path

from l2o import _library

PACKAGE = Path(__file__).parents[2] / "python"
# In an installed wheel of ./run wheel: the directory of the libraries that libl2o uses.
BUNDLED = Path(_library.__file__).parents[1] / "l2o.libs"
# The libraries of the build machine that libl2o uses.
LIBRARIES = ("fmt", "hwy", "xxhash", "tomlplusplus", "boost")
CAN_BUILD = all(find_spec(name) for name in ("pip", "setuptools", "venv", "wheel"))

# array is built in: only the wheel is installed there.
USE = """
import array, l2o
print(l2o.__file__)
l2o.Optimizer.load("general")
run = l2o.Run(l2o.Optimizer("output_init = 'truncated_normal'"), 3)
theta = array.array("f", [0, 0, 0])
run.step(array.array("f", [1, 1, 1]), theta)
assert theta[0] != 0 and theta[0] == theta[1] == theta[2], theta
try:
    run.step(array.array("d", [1, 1, 1]), theta)
except TypeError as error:
    print(error)
"""


@unittest.skipUnless(CAN_BUILD, "pip, setuptools, venv or wheel is not installed")
@unittest.skipIf(BUNDLED.exists(), "the library of an installed wheel is not one to make wheels of")
class WheelTest(unittest.TestCase):
    def test_it_contains_the_library(self):
        with tempfile.TemporaryDirectory() as directory:
            directory = Path(directory)
            # Without isolation, so that nothing is fetched.
            run(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps",
                "--wheel-dir", directory, PACKAGE,
                environment={"L2O_LIBRARY": _library.library._name})
            (wheel,) = directory.glob("l2o-*-py3-none-*.whl")
            self.assertNotIn("any", wheel.stem.split("-")[-1])
            names = set(zipfile.ZipFile(wheel).namelist())
            self.assertLessEqual(
                {"l2o/libl2o.so.0", "l2o/torch/__init__.py", "l2o/models/general.safetensors"}, names
            )

            venv = directory / "venv"
            run(sys.executable, "-m", "venv", venv)
            python = venv / "bin/python"
            run(python, "-m", "pip", "install", "--no-index", wheel)
            output = run(python, "-c", USE).splitlines()
            self.assertTrue(output[0].startswith(str(venv)), output)
            self.assertEqual(output[1], "gradient has dtype float64; expected float32")

    def test_an_editable_install_works_or_is_rejected(self):
        with tempfile.TemporaryDirectory() as directory:
            venv = Path(directory) / "venv"
            run(sys.executable, "-m", "venv", "--system-site-packages", venv)
            install = (venv / "bin/python", "-m", "pip", "install", "--no-build-isolation", "--no-deps",
                       "--no-index", "-e", PACKAGE)
            run(*install, environment={"L2O_LIBRARY": _library.library._name})
            output = run(venv / "bin/python", "-c", USE,
                         environment={"L2O_LIBRARY": _library.library._name})
            self.assertTrue(output.startswith(str(PACKAGE)), output)

    def test_nothing_is_left_in_the_source_tree(self):
        left = [path.name for path in PACKAGE.iterdir()]
        self.assertNotIn("build", left)
        self.assertNotIn("l2o.egg-info", left)


@unittest.skipUnless(BUNDLED.exists(), "the package is not an installed wheel of ./run wheel")
class RepairedWheelTest(unittest.TestCase):
    def test_it_uses_no_system_library_except_the_compiler_s(self):
        mapped = {
            line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line
        }
        names = re.compile(f"lib({'|'.join(LIBRARIES)})")
        ours = [path for path in mapped if names.search(Path(path).name)]
        self.assertGreater(len(ours), 0)
        for path in ours:
            self.assertEqual(Path(path).parent, BUNDLED)

    def test_it_works_without_the_libraries_of_the_build(self):
        hide = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]
        if subprocess.run([*hide, "mount --bind /dev/null /etc/hostname"], capture_output=True).returncode != 0:
            self.skipTest("no permission to mount in a namespace")
        libraries = [
            str(path)
            for name in LIBRARIES
            for path in Path("/usr/lib").glob(f"*/lib{name}*.so.*")
        ]
        self.assertGreater(len(libraries), 0)
        script = 'for library; do mount --bind /dev/null "$library"; done; exec "$PYTHON" -c "$USE"'
        output = run(*hide, script, "sh", *libraries, environment={"PYTHON": sys.executable, "USE": USE})
        self.assertIn("expected float32", output)


def run(*command, environment=None):
    """Its output, without the variables by which the tests find package and library."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "L2O_LIBRARY")}
    result = subprocess.run(
        command, capture_output=True, text=True, env={**clean, **(environment or {})}, cwd="/"
    )
    if result.returncode != 0:
        raise AssertionError(f"{command} failed:\n{result.stdout}{result.stderr}")
    return result.stdout


if __name__ == "__main__":
    unittest.main()
