"""Builds the wheel: the package and, next to it, libl2o and the models that ship.

The library is the file that L2O_LIBRARY names; else that of the default build, build/lib; else it is
built now, with CMake: on a machine with a CUDA toolkit that takes minutes, L2O_CUDA=off leaves the CUDA
backend out. An editable install uses the default build where it lies, so that has to be there.

Where jax is installed (pip install --no-build-isolation), its custom call is compiled as well; an editable
install has that beside its source.
"""

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

ROOT = Path(__file__).resolve().parent.parent
SONAME = "libl2o.so.0"
BUILT = ROOT / "build" / "lib" / SONAME  # of the default build
JAX_CALL = "libl2o_jax.so"


def find_library(scratch):
    if os.environ.get("L2O_LIBRARY"):
        return Path(os.environ["L2O_LIBRARY"])
    if BUILT.exists():
        return BUILT
    if not (ROOT / "CMakeLists.txt").exists():
        raise SystemExit("libl2o is not built: name the file with the variable L2O_LIBRARY")
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DL2O_BUILD_TESTS=OFF", "-DL2O_BUILD_BENCH=OFF"]
    if os.environ.get("L2O_CUDA", "").lower() == "off":
        options.append("-DL2O_ENABLE_CUDA=OFF")
    subprocess.run(["cmake", "-S", ROOT, "-B", scratch, *options], check=True)
    jobs = str(len(os.sched_getaffinity(0)))
    subprocess.run(["cmake", "--build", scratch, "--parallel", jobs], check=True)
    return Path(scratch) / "lib" / SONAME


def build_jax_call(target):
    """The custom call of l2o.jax, against the headers of the jaxlib that is installed, if one is."""
    try:
        import jax

        headers = jax.ffi.include_dir()
    except (ImportError, AttributeError):
        return
    source = ROOT / "python" / "l2o" / "_jax_ffi.cpp"
    compiler = os.environ.get("CXX", "c++")
    flags = ["-std=c++17", "-O2", "-shared", "-fPIC", "-isystem", headers]
    include = ROOT / "host" / "include"
    subprocess.run([compiler, *flags, "-I", include, source, "-o", target], check=True)


class BuildWithLibrary(build_py):
    def run(self):
        super().run()
        if self.editable_mode:
            if not os.environ.get("L2O_LIBRARY") and not BUILT.exists():
                raise SystemExit(f"an editable install needs {BUILT}: ./run build")
            build_jax_call(ROOT / "python" / "l2o" / JAX_CALL)
            return
        package = Path(self.build_lib) / "l2o"
        (package / "models").mkdir(parents=True, exist_ok=True)
        for model in (ROOT / "models").glob("*.safetensors"):
            shutil.copy(model, package / "models")
        build_jax_call(package / JAX_CALL)
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copyfile(find_library(scratch), package / SONAME)  # follows links: one real file


class PlatformWheel(bdist_wheel):
    """The library is the platform's, the package is any Python 3's."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class BinaryDistribution(Distribution):
    def has_ext_modules(self):
        return True


# Nothing is written into the source tree.
scratch = tempfile.mkdtemp(prefix="l2o-wheel-")
atexit.register(shutil.rmtree, scratch, ignore_errors=True)

setup(
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
    distclass=BinaryDistribution,
    options={"build": {"build_base": scratch}, "egg_info": {"egg_base": scratch}},
)
