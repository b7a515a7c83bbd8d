"""Parses cases.json: see README.md."""

import json
import os
import re
import urllib.parse

from option_table import options

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = os.path.join(os.path.dirname(os.path.dirname(HERE)), "include", "couchdrop.h")

# The account and the options of a case that does not set them.
LOGIN = {"username": "ada@example.com", "password": "correct horse battery staple"}
OPTIONS = {"backoff_ms": "0 0"}
FIELDS = ("code", "token", "http_status", "server_message", "retry_after", "attempts", "sent")
KEYS = {
    *(
        "name",
        "server",
        "path",
        "username",
        "password",
        "system",
        "options",
        "connect",
        "times",
        "call_timeout_ms",
    ),
    *("cancel", "set_late", "no_descriptors", "connections", "expect", "except"),
}
BODY_FORMATS = {"auto": 0, "form": 1, "json": 2}


def text(value):
    """A text of the case file: a string, a list of strings, or a repeated string."""
    if isinstance(value, list):
        return "".join(map(text, value))
    if isinstance(value, dict):
        return value["repeat"] * value["count"]
    return value


def to_bytes(value):
    r"""Encodes a text. A lone surrogate means a byte that is not UTF-8: "\udcff" for FF."""
    return text(value).encode("utf-8", "surrogateescape")


def response(parts):
    """The bytes of a response that the case file gives in parts."""
    body = json.dumps(parts["json"]).encode() if "json" in parts else to_bytes(parts.get("body", ""))
    headers = {"Content-Length": len(body), **parts.get("headers", {})}
    lines = [f"HTTP/1.1 {parts['status']} X", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def replies(responses):
    """The responses of a case as the replies of the fault server."""
    for parts in responses:
        if parts == "silence":
            yield []
        elif parts == "close":
            yield ["end"]
        elif parts == "reset":
            yield ["reset"]
        else:
            sent = to_bytes(parts["raw"]) if "raw" in parts else response(parts)
            closes = parts.get("then") == "close"
            yield [{"send": sent.decode("latin-1")}, *(["end"] if closes else [])]


class Cases:
    """The case file, and the state that its cases share while they run."""

    def __init__(self, folder, proxy, fault_server):
        self.fault_server = fault_server
        with open(os.path.join(HERE, "cases.json"), encoding="utf-8") as file:
            content = json.load(file)
        self.all = content["cases"]
        with open(HEADER, encoding="utf-8") as file:
            self.codes = {
                name: int(value)
                for name, value in re.findall(r"^ +(CD_\w+) = (\d+),", file.read(), re.MULTILINE)
            }
        self.unprovoked = content["unprovoked"]
        for name, lines in content["files"].items():
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write("\n".join(lines))
        self.names = {
            "{files}": folder,
            "{ca}": os.environ["COUCHDROP_CA_FILE"],
            "{fake_server}": os.environ["COUCHDROP_BASE_URL"],
            "{fake_server_http}": os.environ["COUCHDROP_HTTP_URL"],
        }
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and not name.startswith("SSL_CERT_")
        }
        # A case without a proxy and a CA file gets these instead of the machine's.
        self.environment["HTTPS_PROXY"] = f"http://127.0.0.1:{proxy.port}"
        self.environment["SSL_CERT_FILE"] = os.path.join(folder, "other-ca.pem")

    def problems(self):
        """The faults of the file itself."""
        for case in self.all:
            odd = [*(set(case) - KEYS), *(set(case["expect"]) - set(FIELDS))]
            yield from (f"{case['name']}: there is no {name!r}" for name in odd)
        names = [case["name"] for case in self.all]
        yield from (f"{name!r} is there twice" for name in sorted(set(names)) if names.count(name) > 1)
        tried = {name for case in self.all for name in case.get("options", {})}
        yield from (f"{name} has no case that sets it" for name in sorted(set(options()) - tried))
        codes = set(self.codes)
        expected = {case["expect"]["code"] for case in self.all}
        yield from (
            f"{code} has no case, and no reason" for code in sorted(codes - expected - set(self.unprovoked))
        )
        yield from (f"{code} is in no header" for code in sorted((expected | set(self.unprovoked)) - codes))
        yield from (
            f"{code} has a case and a reason for none" for code in sorted(expected & set(self.unprovoked))
        )


def line(name, value, names):
    """A setting as a line for a runner."""
    if value is None:
        return name
    if name == "body_format":
        value = BODY_FORMATS.get(value, value)
    written = str(value) if isinstance(value, int) else text(value)
    for placeholder, its in names.items():
        written = written.replace(placeholder, its)
    return f"{name} {urllib.parse.quote(to_bytes(written), safe=' /:')}"


def lines_of(case, names):
    """A case as lines for a runner."""
    settings = {**OPTIONS, **case.get("options", {}), **LOGIN}
    settings.update({name: case[name] for name in ("username", "password", "system") if name in case})
    if case.get("server") == "fake server":
        settings = {"base_url": "{fake_server}", "ca_file": "{ca}", **settings}
    elif "server" in case:
        settings = {"base_url": "{server}", **settings}
    for name in ("call_timeout_ms", "times", "cancel"):
        if name in case:
            settings[name] = case[name]
    settings.update({name: None for name in ("connect", "set_late") if case.get(name)})
    yield from (line(name, value, names) for name, value in settings.items())
    yield "run"


def expectation(case, language):
    """The expected result of a case in a language; None if the case is not for it."""
    expected = {**dict.fromkeys(FIELDS), **case["expect"]}
    other = case.get("except", {}).get(language, {})
    if isinstance(other, str):
        return None
    scripted = isinstance(case.get("server"), list)
    if scripted and expected["sent"] is None:
        expected["sent"] = []
    if expected["code"] != "CD_OK" and "attempts" not in case["expect"]:
        expected["attempts"] = sum(name in ("form", "json") for name in expected["sent"] or [])
    expected.update((field, value) for field, value in other.items() if field != "why")
    return expected
