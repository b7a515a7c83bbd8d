#!/usr/bin/env python3
"""Calls every exported function with invalid arguments: invalid_arguments.py

Combines every value below of every parameter with every value of the others, or with many of them: NULL, text that is
not valid UTF-8, text that is too long, numbers at and beyond each edge, and random numbers. A call must return the code
of one of its bad arguments, or succeed if it has none. The functions and parameters come from the header. A parameter
without invalid values in this file is an error, and so is a difference between the header and abi/exports.txt.

Runs inside the fake server. COUCHDROP_LIBRARY is the library, TORTURE_TIMES the number of repetitions, and TORTURE_SEED
the seed of an earlier run.
"""

import ctypes
import faulthandler
import itertools
import math
import os
import pathlib
import random
import re
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NULL_ARGUMENT, INVALID_UTF8, EMPTY_ARGUMENT, OUT_OF_RANGE = 2001, 2002, 2003, 2004
INVALID_URL, INSECURE_URL, CA_FILE, OPTIONS_IN_USE = 2005, 2006, 2007, 2008
CONNECT, TIMEOUT, CANCELLED = 3002, 3005, 5001
LONGEST = 65536
# The value of an out-parameter before a call, which must overwrite it.
STALE = 16

seed = int(os.environ.get("TORTURE_SEED", time.time_ns() % 2**32))
rng = random.Random(seed)
library = ctypes.CDLL(os.environ["COUCHDROP_LIBRARY"])

# ---- the functions

TYPES = {
    "void": None,
    "cd_code": ctypes.c_int32,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "size_t": ctypes.c_size_t,
}


def functions():
    """Result and parameters, each a type and a name, of every function that the header declares."""
    text = (ROOT / "include/couchdrop.h").read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/|//[^\n]*|^#[^\n]*", "", text, flags=re.S | re.M).replace("COUCHDROP_NODISCARD", "")
    found = {}
    for result, name, parameters in re.findall(r"([\w \n*]+?)\b(cd_\w+)\(([^()]*)\);", text):
        split = [re.fullmatch(r"(.*?)(\w+)", " ".join(part.split())).groups() for part in parameters.split(",")]
        split = [(kind.strip(), called) for kind, called in split if kind]
        found[name] = (" ".join(result.split()), split)
    exported = set((ROOT / "abi/exports.txt").read_text(encoding="utf-8").split())
    assert set(found) == exported, f"either in the header or in abi/exports.txt: {set(found) ^ exported}"
    for name, (result, parameters) in found.items():
        function = getattr(library, name)
        function.restype = ctypes.c_void_p if "*" in result else TYPES[result]
        function.argtypes = [TYPES.get(kind, ctypes.c_void_p) for kind, _ in parameters]
    return found


# ---- invalid values, each with its permitted codes


class Value:
    def __init__(self, value, *refused, object=None):
        self.value, self.refused, self.object = value, set(refused), object


def text(content, *refused):
    held = ctypes.create_string_buffer(content)
    return Value(ctypes.addressof(held), *refused, object=held)


NO_UTF8 = [
    *(bytes([byte]) for byte in (0x80, 0xBF, 0xC0, 0xC1, 0xF5, 0xFE, 0xFF)),  # never valid, or never valid alone
    *(b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"),  # truncated
    *(b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf"),  # overlong
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80"),  # surrogates
    b"\xf4\x90\x80\x80",  # beyond Unicode
    b"\xe4\xf6\xfc",  # Latin 1
]


def no_utf8():
    around = [b"".join(rng.choices([b"a", b"%", "é".encode(), "\U0001f600".encode()], k=rng.randrange(9))) for _ in "12"]
    return around[0] + rng.choice(NO_UTF8) + b"z" + around[1]


def texts(good, *bad, null=NULL_ARGUMENT, empty=EMPTY_ARGUMENT):
    """Good texts, bad ones of this parameter with their code, and those that are bad for every parameter."""
    yield Value(None, *([null] if null else []))
    yield text(b"", *([empty] if empty else []))
    for content in good:
        yield text(content)
    for content, code in bad:
        yield text(content, code)
    yield text(no_utf8(), INVALID_UTF8)
    yield text(b"a" * (LONGEST + 1), OUT_OF_RANGE)
    yield text(b"\xff" * rng.randrange(LONGEST + 1, 4 * LONGEST), OUT_OF_RANGE, INVALID_UTF8)


def numbers(least, most, lowest, highest):
    """Numbers around a range, and random ones from the whole range of the type."""
    drawn = {least, most, least - 1, most + 1, lowest, highest, 0, 1}
    drawn |= {rng.randint(least, most), rng.randint(lowest, highest)}
    for number in drawn:
        if lowest <= number <= highest:
            yield Value(number, *([] if least <= number <= most else [OUT_OF_RANGE]))


LONG_TEXTS = [b"ada@example.com", "жук\u0301 \U0001f41e".encode(), b"'\"\\\x01\x1f\x7f", b"%" * LONGEST]
ALL_32 = (0, 2**32 - 1)
SIGNED_32 = (-(2**31), 2**31 - 1)
LOG_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p)(lambda *_: None)
CHECK_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(lambda _: 0)


def address(function):
    return ctypes.cast(function, ctypes.c_void_p).value


class Objects:
    """One object of each kind, made by the library."""

    def __init__(self):
        self.triggered, self.waiting = library.cd_cancel_new(), library.cd_cancel_new()
        library.cd_cancel_trigger(self.triggered)
        # Nothing listens there.
        self.options = self.options_to(b"http://127.0.0.1:1")
        token, error = ctypes.c_void_p(), ctypes.c_void_p()
        service = self.options_to(os.environ["COUCHDROP_BASE_URL"].encode())
        ca_file = text(os.environ["COUCHDROP_CA_FILE"].encode())
        assert library.cd_options_set_ca_file(service, ca_file.value, None) == 0
        user, password, wrong = (text(content) for content in (b"ada@example.com", b"correct horse battery staple", b"x"))
        login = library.cd_authenticate_with
        assert login(service, None, 0, user.value, password.value, None, ctypes.addressof(token), None) == 0
        assert login(service, None, 0, user.value, wrong.value, None, ctypes.addressof(token_place), ctypes.addressof(error)) == 1403
        self.frozen, self.token, self.error = service, token.value, error.value
        made = ctypes.addressof(session_place)
        assert library.cd_session_new(self.options, user.value, password.value, None, made, None) == 0
        self.session = session_place.value

    @staticmethod
    def options_to(url):
        options, url = library.cd_options_new(), text(url)
        assert library.cd_options_set_base_url(options, url.value, None) == 0
        assert library.cd_options_set_max_retries(options, 0, None) == 0
        return options


token_place, error_place, session_place = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()


# By name, or by type if the name does not determine the values.
BY_NAME = {
    "username": lambda objects: texts(LONG_TEXTS),
    "password": lambda objects: texts(LONG_TEXTS),
    "system": lambda objects: texts(LONG_TEXTS[:2], null=None, empty=None),
    "rejected": lambda objects: texts(LONG_TEXTS[:2], null=None, empty=None),
    "seconds": lambda objects: numbers(*ALL_32, *ALL_32),
    "url": lambda objects: texts(
        [b"https://h", b"http://[::1]:1/a/"],
        *[(b"https://u@h", INVALID_URL), (b"http://h", INSECURE_URL), (b"x", INVALID_URL)],
    ),
    "path": lambda objects: texts(
        [os.environ["COUCHDROP_CA_FILE"].encode()],
        *[(b"/", CA_FILE), (b"/dev/null", CA_FILE), (b"a" * 5000, CA_FILE)],
    ),
    "name": lambda objects: texts(
        b"https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY SSL_CERT_FILE SSL_CERT_DIR".split(),
        *[(b"PATH", OUT_OF_RANGE), (b"http_proxy", OUT_OF_RANGE)],
    ),
    "value": lambda objects: [
        Value(None),
        *[text(content) for content in (b"", b"x", b"\xff", b"http://[::1]:1")],
        text(b"a" * (LONGEST + 1)),
    ],
    "product": lambda objects: texts([b"a/1", "é".encode()], (b"a\r\nb", OUT_OF_RANGE), (b"\x7f", OUT_OF_RANGE)),
    "code": lambda objects: [Value(code) for code in (*range(-3000, 12000), *SIGNED_32)]
    + [Value(rng.randint(*SIGNED_32)) for _ in range(1000)],
    "format": lambda objects: numbers(0, 2, *SIGNED_32),
    "max_level": lambda objects: numbers(1, 4, *SIGNED_32),
    "timeout_ms": lambda objects: numbers(0, 3600000, *ALL_32),
    "ms": lambda objects: numbers(1, 3600000, *ALL_32),
    "count": lambda objects: numbers(0, 10, *ALL_32),
    "first": lambda objects: numbers(0, 3600000, *ALL_32),
    "max": lambda objects: numbers(0, 3600000, *ALL_32),
    "bytes": lambda objects: numbers(1024, 16777216, 0, 2**64 - 1),
    "user_data": lambda objects: [Value(None), Value(rng.randrange(2**64))],  # only passed on
}
BY_TYPE = {
    "const cd_options *": lambda objects: [Value(None), Value(objects.options)],
    "cd_options *": lambda objects: [
        Value(None, NULL_ARGUMENT),
        Value("new"),
        Value(objects.frozen, OPTIONS_IN_USE),
    ],
    "const cd_cancel *": lambda objects: [Value(None), Value(objects.triggered), Value(objects.waiting)],
    "cd_cancel *": lambda objects: [Value(None), Value(objects.triggered), Value(objects.waiting)],
    "const cd_token *": lambda objects: [Value(None), Value(objects.token)],
    "const cd_error *": lambda objects: [Value(None), Value(objects.error)],
    "cd_session *": lambda objects: [Value(None, NULL_ARGUMENT), Value(objects.session)],
    "cd_session **": lambda objects: [Value(None, NULL_ARGUMENT), Value(ctypes.addressof(session_place))],
    "cd_token **": lambda objects: [Value(None, NULL_ARGUMENT), Value(ctypes.addressof(token_place))],
    "cd_error **": lambda objects: [Value(None), Value(ctypes.addressof(error_place))],
    "cd_log_fn": lambda objects: [Value(None), Value(address(LOG_FUNCTION))],
    "cd_check_fn": lambda objects: [Value(None), Value(address(CHECK_FUNCTION))],
}
PROXIES = [(b"https://p", INVALID_URL), (b"p:99999", INVALID_URL), (b"socks4://p", INVALID_URL)]


def values(objects, function, kind, name):
    """The values for this parameter of this function."""
    if (function, name) == ("cd_options_set_proxy", "url"):
        return texts([b"p", b"socks5h://u:p@[::1]:1"], *PROXIES, null=None)
    made = BY_TYPE.get(kind) or BY_NAME.get(name)
    if made is None:
        sys.exit(f"{function} takes {kind} {name}: this file has no invalid values for it")
    return made(objects)


# ---- the calls

# A call without a bad argument either finds no listener, or has a triggered handle. NULL options mean the real service,
# and nothing is sent to it.
MAX_COMBINATIONS = 20000
LOGS_IN = {"cd_authenticate", "cd_authenticate_with", "cd_connect", "cd_session_token"}
NEVER_NULL = {"cd_error_message", "cd_code_name", "cd_code_message", "cd_version", "cd_options_new", "cd_cancel_new"}
MAKES = {"cd_options_free": "cd_options_new", "cd_cancel_free": "cd_cancel_new"}


def call_free(name, objects):
    function = getattr(library, name)
    function(None)
    if name in MAKES:
        function(getattr(library, MAKES[name])())
    if name == "cd_token_free":
        function(objects.token)
    if name == "cd_error_free":
        function(objects.error)
    if name == "cd_session_free":
        function(objects.session)
    return 2


def call(name, result, parameters, objects):
    """Calls every combination of the arguments, or a random sample of them. Returns the number of calls."""
    function, calls = getattr(library, name), 0
    names = [called for _, called in parameters]
    choices = [list(values(objects, name, *parameter)) for parameter in parameters]
    if math.prod(map(len, choices)) > MAX_COMBINATIONS:
        combinations = ([rng.choice(some) for some in choices] for _ in range(MAX_COMBINATIONS))
    else:
        combinations = itertools.product(*choices)
    for arguments in combinations:
        given = dict(zip(names, arguments))
        allowed = set().union(*(value.refused for value in arguments)) if arguments else set()
        raw = {called: value.value for called, value in given.items()}
        if name == "cd_options_set_backoff_ms" and raw["first"] > raw["max"]:
            allowed.add(OUT_OF_RANGE)
        if name in LOGS_IN and not allowed:
            if raw.get("cancel") == objects.triggered:
                allowed = {CANCELLED}
            elif "session" not in raw and raw.get("options") is None:
                continue
            else:
                allowed = {CONNECT, TIMEOUT} if 0 < raw["timeout_ms"] < 5000 else {CONNECT}
        new = raw.get("options") == "new"
        if new:
            raw["options"] = library.cd_options_new()
        token_place.value = error_place.value = session_place.value = STALE
        got = function(*raw.values())
        calls += 1
        description = f"{name}({', '.join(f'{called}={str(value)[:40]}' for called, value in raw.items())}) gave {got}"
        if result == "cd_code" and name != "cd_error_code":
            assert got in (allowed or {0}), f"{description}, not one of {allowed or 0}"
            if raw.get("token"):
                assert token_place.value is None, f"{description} and left a token"
            if name == "cd_session_new" and raw["session"]:
                assert (session_place.value is None) == (got != 0), f"{description} and left {session_place.value}"
                library.cd_session_free(session_place)
            if raw["error"]:
                assert library.cd_error_code(error_place) == got, f"{description} and another error"
                assert (error_place.value is None) == (got == 0), description
                library.cd_error_free(error_place)
            else:
                assert error_place.value == STALE, description
        elif "*" in result:
            assert got is not None or name not in NEVER_NULL, description
            if result == "const char *" and got is not None:
                ctypes.string_at(got).decode()
        if name == "cd_code_is_retryable":
            assert got in (0, 1), description
        if new:
            library.cd_options_free(raw["options"])
        if name in MAKES.values():
            getattr(library, name.replace("_new", "_free"))(got)
    return calls


def main():
    faulthandler.enable()
    print(f"TORTURE_SEED={seed}", flush=True)
    declared = functions()
    calls = 0
    for _ in range(int(os.environ.get("TORTURE_TIMES", 1))):
        objects = Objects()
        for name, (result, parameters) in sorted(declared.items(), key=lambda item: item[0].endswith("_free")):
            if name.endswith("_free"):
                calls += call_free(name, objects)
            elif name != "cd_secure_zero":  # tests/contract.rs covers it
                calls += call(name, result, parameters, objects)
    print(f"{len(declared)} functions, {calls} calls")


main()
