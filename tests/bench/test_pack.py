"""bench/gpu/pack.sh packs the programs with their libraries, and only those that start on the oldest machine. The tools
that examine them are replaced by scripts."""

import os
import shutil
import subprocess
import tarfile
import tempfile
import unittest

from gpu_run import ROOT

PROGRAMS = ("bin/l2o", "bin/l2o_bench", "bin/l2o_peer_worker", "tests/l2o_cuda_test")

STRIP = '#!/bin/sh\ncp "$3" "$2"  # strip -o TO FROM\n'
GIT = "#!/bin/sh\necho 0123456789\n"
LDD = """#!/bin/sh
printf '\\tlinux-vdso.so.1 (0x1)\\n\\tlibthird.so.1 => %s (0x2)\\n\\tlibstdc++.so.6 => /nowhere (0x3)\\n' "$THIRD"
"""
# In the format of objdump -p.
OBJDUMP = """#!/bin/sh
printf 'Dynamic Section:\\n  NEEDED               libc.so.6\\n\\nVersion References:\\n  required from libc.so.6:\\n'
printf '    0x09691a75 0x00 03 %s\\n' GLIBC_2.2.5 GLIBC_2.17 GLIBCXX_3.4 CXXABI_1.3 GCC_3.0
case $2 in */"$FILE") printf '    0x09691a75 0x00 02 %s\\n' $VERSIONS ;; esac
"""


class Pack(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="l2o-pack-")
        self.addCleanup(directory.cleanup)
        self.root = directory.name
        self.archive = os.path.join(self.root, "build/gpu/carry/programs.tar.gz")
        os.makedirs(os.path.join(self.root, "bench/gpu"))
        shutil.copy(os.path.join(ROOT, "bench/gpu/pack.sh"), os.path.join(self.root, "bench/gpu/pack.sh"))
        for program in PROGRAMS:
            self.write("build/gpu/" + program, program)
        for tool, text in (("strip", STRIP), ("git", GIT), ("ldd", LDD), ("objdump", OBJDUMP)):
            self.write("tools/" + tool, text)

    def write(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def pack(self, file="", versions="", third=None):
        """Packs, where `file` needs these versions in addition and the library is at `third`; returns the process."""
        environment = dict(
            os.environ,
            PATH=os.path.join(self.root, "tools") + ":" + os.environ["PATH"],
            FILE=file,
            VERSIONS=versions,
            THIRD=self.write("libraries/libthird.so.1.2", "a library") if third is None else third,
        )
        script = os.path.join(self.root, "bench/gpu/pack.sh")
        return subprocess.run(["bash", script], env=environment, capture_output=True, text=True)

    def test_programs_and_third_party_libraries_are_packed(self):
        versions = "GLIBC_2.35 GLIBC_2.4 GLIBCXX_3.4.30 GLIBCXX_3.4.9 CXXABI_1.3.13 CXXABI_1.3.9 GCC_12.0.0 GCC_4.2.0"
        packed = self.pack("l2o_bench", versions)
        self.assertEqual(packed.returncode, 0, packed.stderr)
        with tarfile.open(self.archive) as tar:
            names = {os.path.normpath(member.name) for member in tar.getmembers() if member.isfile()}
        self.assertEqual(
            names, {"commit", "bin/libthird.so.1", *("bin/" + os.path.basename(program) for program in PROGRAMS)}
        )

    def test_a_file_that_needs_a_newer_library_is_named(self):
        for file in ("l2o_bench", "libthird.so.1"):
            for versions, most in (
                ("GLIBC_2.36 GLIBC_2.4", "GLIBC_2.35"),
                ("GLIBC_ABI_DT_RELR", "GLIBC_2.35"),  # since 2.36
                ("GLIBCXX_3.4.31 GLIBCXX_3.4.9", "GLIBCXX_3.4.30"),
                ("CXXABI_1.3.14 CXXABI_1.3.9", "CXXABI_1.3.13"),
                ("GCC_13.0.0 GCC_4.2.0", "GCC_12.0.0"),
            ):
                with self.subTest(file=file, versions=versions):
                    packed = self.pack(file, versions)
                    self.assertNotEqual(packed.returncode, 0)
                    self.assertIn(f"{file} needs {versions.split()[0]}; expected at most {most}\n", packed.stderr)
                    self.assertFalse(os.path.exists(self.archive))

    def test_a_library_that_is_not_found_is_named(self):
        packed = self.pack(third="not found")
        self.assertNotEqual(packed.returncode, 0)
        self.assertIn("libthird.so.1 is not found", packed.stderr)
        self.assertFalse(os.path.exists(self.archive))


if __name__ == "__main__":
    unittest.main()
