"""The C functions, codes and numbers of the package are those of the header."""

import ctypes
import glob
import inspect
import os
import re
import unittest

import support
from support import couchdrop

from couchdrop import _abi, _errors

TYPES = {
    "void": None,
    "void*": ctypes.c_void_p,
    "const char*": ctypes.c_char_p,
    "int32_t": ctypes.c_int32,
    "cd_code": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "size_t": ctypes.c_size_t,
    "cd_log_fn": _abi.LogFunction,
    "cd_check_fn": _abi.CheckFunction,
}
for name, handle in [
    ("cd_options", _abi.Options),
    ("cd_cancel", _abi.Cancel),
    ("cd_token", _abi.Token),
    ("cd_error", _abi.Error),
    ("cd_session", _abi.Session),
]:
    TYPES[f"{name}*"] = TYPES[f"const {name}*"] = handle
    TYPES[f"{name}**"] = ctypes.POINTER(handle)
# The functions whose argument is the address of the object.
BY_ADDRESS = {f"cd_{name}_free" for name in ("options", "cancel", "token", "error", "session")}


# The functions that this package does not need.
UNUSED = {
    "cd_authenticate": "cd_authenticate_with does more",
    "cd_cancel_is_triggered": "a call knows",
    "cd_code_message": "errors have messages of their own",
    "cd_options_free": "Handle.release calls it",
    "cd_cancel_free": "Handle.release calls it",
    "cd_token_len": "no token holds a NUL",
    "cd_token_free": "Handle.release calls it",
    "cd_error_free": "Handle.release calls it",
    "cd_session_free": "Handle.release calls it",
    "cd_options_set_timeout_ms": "each call has its timeout",
    "cd_version_number": "cd_version tells the same",
}


def read_header():
    # A different header shows that these tests detect changes.
    with open(os.environ.get("COUCHDROP_HEADER", support.HEADER), encoding="utf-8") as file:
        return re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)


HEADER = read_header()


def type_of(declaration, named):
    """Returns the ctypes type of a declaration such as `const char *username`."""
    declaration = declaration.strip()
    if named:
        declaration = re.sub(r"\w+$", "", declaration)
    return TYPES[re.sub(r"\s*(\*+)\s*$", r"\1", declaration).strip()]


def arguments_of(text, named=True):
    text = " ".join(text.split())
    return () if text == "void" else tuple(type_of(argument, named) for argument in text.split(","))


def options_of_header():
    """The keyword of each option. The package passes os.environ itself."""
    return set(re.findall(r"\bcd_options_set_(\w+?)(?:_ms)?\(", HEADER)) - {"environment"}


def numbers_of(pattern):
    return {name: value for name, value in vars(_abi).items() if re.match(pattern, name)}


class Header(unittest.TestCase):
    maxDiff = None

    def test_prototypes_match_the_header(self):
        declared = {}
        for result, name, arguments in re.findall(
            r"^(?:COUCHDROP_NODISCARD\s+)?((?:const )?\w+ \**)(cd_\w+)\(([^)]*)\);",
            HEADER,
            flags=re.MULTILINE,
        ):
            declared[name] = (type_of(result, named=False), *arguments_of(arguments))
            if name in BY_ADDRESS:
                self.assertTrue(issubclass(declared[name][1], ctypes.c_void_p))
                declared[name] = (None, ctypes.c_void_p)
        self.assertGreater(len(declared), 30)
        self.assertEqual(declared, _abi.PROTOTYPES)
        # The pattern finds every function.
        self.assertEqual(set(re.findall(r"\b(cd_\w+)\((?!\))", HEADER)), set(declared))

    def test_library_functions_have_the_prototypes(self):
        for name, (result, *arguments) in _abi.PROTOTYPES.items():
            function = getattr(_abi.library, name)
            self.assertEqual((function.restype, function.argtypes), (result, arguments), name)

    def test_every_function_is_used(self):
        used = set()
        for path in glob.glob(os.path.join(support.PACKAGE, "couchdrop", "*.py")):
            with open(path, encoding="utf-8") as file:
                used.update(re.findall(r"\blibrary\.(cd_\w+)", file.read()))
        functions = set(re.findall(r"\b(cd_\w+)\((?!\))", HEADER))
        self.assertEqual(functions - used, set(UNUSED))

    def test_every_option_is_a_keyword(self):
        options = options_of_header()
        self.assertGreater(len(options), 10)
        self.assertEqual(set(inspect.signature(couchdrop.Client).parameters), options)
        # The timeout is a separate argument of a login.
        self.assertEqual(set(couchdrop.ClientOptions.__annotations__), options - {"timeout"})

    def test_every_option_is_in_the_docstring(self):
        documented = re.findall(r"^ {4}(\w+): ", inspect.getdoc(couchdrop.Client), re.MULTILINE)
        self.assertEqual(set(documented), options_of_header())

    def test_callbacks_match_the_header(self):
        declared = {
            name: (type_of(result, named=False), *arguments_of(arguments))
            for result, name, arguments in re.findall(r"typedef (\w+) \(\*(cd_\w+)\)\(([^)]*)\);", HEADER)
        }
        ours = {
            name: (function._restype_, *function._argtypes_)
            for name, function in [("cd_log_fn", _abi.LogFunction), ("cd_check_fn", _abi.CheckFunction)]
        }
        self.assertEqual(declared, ours)

    def test_codes_match_the_header(self):
        declared = {
            name: int(value) for name, value in re.findall(r"^\s+(CD_\w+) = (\d+),", HEADER, re.MULTILINE)
        }
        self.assertGreater(len(declared), 20)
        self.assertEqual({code.name: int(code) for code in couchdrop.Code}, declared)
        self.assertEqual(numbers_of("CD_(OK|ERR_)"), declared)
        for name, value in declared.items():
            self.assertEqual(_abi.library.cd_code_name(value).decode(), name)

    def test_every_code_has_an_exception_class(self):
        self.assertEqual(set(_errors.CLASSES), set(couchdrop.Code) - {couchdrop.Code.CD_OK})
        # The default code of a class for a single code is that code.
        for code, raised in _errors.CLASSES.items():
            codes = [other for other, its in _errors.CLASSES.items() if its is raised]
            if len(codes) == 1:
                self.assertEqual(raised().code, code)
            self.assertIn(raised().code, codes)
            self.assertIn(raised.__name__, couchdrop.__all__)
            self.assertTrue(
                issubclass(raised, _errors.CATEGORIES[code // 1000]) or code // 1000 in (1, 9), code
            )

    def test_unknown_code_raises_its_categorys_class(self):
        for code, raised in [
            (1409, couchdrop.UnexpectedStatus),
            (2999, couchdrop.ArgumentError),
            (3999, couchdrop.TransportError),
            (4999, couchdrop.ResponseError),
            (9999, couchdrop.InternalError),
            (7001, couchdrop.CouchdropError),
        ]:
            self.assertIs(_errors.exception_class(code), raised)
            self.assertEqual(raised("new", code=code).code_name, "CD_ERR_UNKNOWN")
            self.assertFalse(raised("new", code=code).retryable)

    def test_constants_match_the_macros(self):
        macros = dict(re.findall(r"^#define (\w+) (\S+)$", HEADER, re.MULTILINE))
        declared = {name: int(value) for name, value in macros.items() if re.match("CD_(BODY|LOG)_", name)}
        self.assertGreater(len(declared), 6)
        self.assertEqual(numbers_of("CD_(BODY|LOG)_"), declared)
        self.assertEqual(_abi.ABI_VERSION, int(macros["COUCHDROP_ABI_VERSION"]))
        self.assertEqual(couchdrop.TOKEN_HEADER, macros["COUCHDROP_TOKEN_HEADER"].strip('"'))
        self.assertEqual(couchdrop.__version__, macros["COUCHDROP_VERSION"].strip('"'))
        self.assertEqual(couchdrop.library_version(), couchdrop.__version__)


if __name__ == "__main__":
    unittest.main()
