"""The search for the shared library, and the errors if it can't be used."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import support

from couchdrop import _abi

# Importing each of them takes at least as long as importing ctypes.
HEAVY = {"asyncio", "collections", "enum", "functools", "hmac", "logging", "re", "threading", "typing"}


class Import(unittest.TestCase):
    @unittest.skipIf(support.PYPY, "the parts of PyPy's standard library need each other")
    def test_import_loads_only_required_modules(self):
        with support.Recorder() as recorder:
            done = support.run_python(
                """
                import sys
                before = set(sys.modules)
                import couchdrop
                couchdrop.authenticate("ada", "secret", base_url=sys.argv[1])
                print(*set(sys.modules) - before)
                """,
                recorder.base_url,
                flags=["-S"],
            )
        loaded = set(done.stdout.split())
        self.assertIn("couchdrop._client", loaded, done.stderr)
        self.assertEqual(loaded & HEAVY, set())

    def test_lazily_imported_names_are_available(self):
        import couchdrop

        self.assertLessEqual(set(couchdrop.__all__), set(dir(couchdrop)))
        for name in couchdrop.__all__:
            value = getattr(couchdrop, name)
            if isinstance(value, type):
                self.assertEqual(value.__module__, "couchdrop")
                self.assertIs(pickle.loads(pickle.dumps(value)), value)
        self.assertIs(pickle.loads(pickle.dumps(couchdrop.ENVIRONMENT)), couchdrop.ENVIRONMENT)
        self.assertIs(copy.deepcopy(couchdrop.ENVIRONMENT), couchdrop.ENVIRONMENT)
        with self.assertRaisesRegex(AttributeError, "no attribute 'authenticat'"):
            _ = couchdrop.authenticat


class Library(unittest.TestCase):
    def import_with(self, package=support.PACKAGE, **environment):
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": package, **environment}
        return subprocess.run(
            [sys.executable, "-c", "import couchdrop; print(couchdrop._abi.library_path)"],
            env=environment,
            # Python searches the working directory first.
            cwd=package,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def refused(self, *expected, **environment):
        done = self.import_with(**environment)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("ImportError: ", done.stderr)
        for text in expected:
            self.assertIn(text, done.stderr)

    def test_variable_selects_the_library_file(self):
        library = os.environ["COUCHDROP_LIBRARY"]
        self.assertEqual(self.import_with(COUCHDROP_LIBRARY=library).stdout.strip(), library)

    def test_system_search_is_last(self):
        folder = os.path.dirname(os.environ["COUCHDROP_LIBRARY"])
        self.assertEqual(self.import_with(LD_LIBRARY_PATH=folder).stdout.strip(), _abi.FILE_NAME)

    def test_bundled_library_has_priority(self):
        with tempfile.TemporaryDirectory() as folder:
            package = shutil.copytree(
                os.path.join(support.PACKAGE, "couchdrop"),
                os.path.join(folder, "couchdrop"),
                ignore=shutil.ignore_patterns("_lib", "__pycache__"),
            )
            bundled = os.path.join(package, "_lib", _abi.FILE_NAME)
            os.mkdir(os.path.dirname(bundled))
            shutil.copy(os.environ["COUCHDROP_LIBRARY"], bundled)
            done = self.import_with(folder, COUCHDROP_LIBRARY="/no/such/file")
            self.assertEqual(done.stdout.strip(), bundled, done.stderr)

    def test_error_lists_the_searched_places(self):
        self.refused("/no/such/file: ", "_lib", "COUCHDROP_LIBRARY", COUCHDROP_LIBRARY="/no/such/file")
        # If the system has no library, the import fails.
        if self.import_with().returncode:
            self.refused("_lib", "COUCHDROP_LIBRARY: not set", _abi.FILE_NAME + ": ")

    def test_unloadable_file_of_the_variable_is_an_error(self):
        # LD_LIBRARY_PATH makes the library available to the system's search.
        folder = os.path.dirname(os.environ["COUCHDROP_LIBRARY"])
        self.refused("/no/such/file", COUCHDROP_LIBRARY="/no/such/file", LD_LIBRARY_PATH=folder)

    def test_error_names_the_file_once(self):
        done = self.import_with(COUCHDROP_LIBRARY="/no/such/file")
        self.assertEqual(done.stderr.count("/no/such/file"), 1, done.stderr)

    def test_error_about_a_dependency_names_both_files(self):
        def load(path):
            raise OSError("libother.so: cannot open shared object file")

        with mock.patch.object(_abi.ctypes, "CDLL", load):
            with mock.patch.object(_abi, "_find", lambda: ("/some/file", [])):
                with self.assertRaisesRegex(ImportError, "/some/file: libother.so: cannot open"):
                    _abi._load()

    def test_other_library_is_refused(self):
        with open("/proc/self/maps", encoding="utf-8") as file:
            another = next(path for path in file.read().split() if "/libc." in path or "/ld-musl" in path)
        self.refused("is not libcouchdrop", COUCHDROP_LIBRARY=another)

    def test_other_abi_version_is_refused(self):
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            self.skipTest("there is no C compiler")
        with tempfile.TemporaryDirectory() as folder:
            for version, expected in [
                (2, "has version 2 of libcouchdrop's ABI"),
                (1, "too old for this package"),
            ]:
                library = os.path.join(folder, f"abi{version}.so")
                subprocess.run(
                    [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", library],
                    input=f"unsigned cd_abi_version(void) {{ return {version}; }}",
                    text=True,
                    check=True,
                )
                self.refused(expected, library, COUCHDROP_LIBRARY=library)

    @unittest.skipUnless(hasattr(os, "geteuid") and os.geteuid() == 0, "needs root")
    def test_variable_is_ignored_in_a_privileged_process(self):
        # The system's search finds the library, so that the import succeeds.
        folder = os.path.dirname(os.environ["COUCHDROP_LIBRARY"])
        script = (
            "import os; os.setresuid(65534, 0, 0)\n"
            "from couchdrop import _abi\n"
            "print(_abi._find(), _abi.library_path)"
        )
        done = support.run_python(script, env={**os.environ, "LD_LIBRARY_PATH": folder})
        self.assertIn("COUCHDROP_LIBRARY: ignored", done.stdout, done.stderr)
        self.assertNotIn(os.environ["COUCHDROP_LIBRARY"], done.stdout)


if __name__ == "__main__":
    unittest.main()
