"""Runs the cases of cases.json through C, C++, Python and Go, and compares how they ended: see README.md."""

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import shlex
import sys
import tempfile
import urllib.parse

from server import Server, text, to_bytes

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HEADER = os.path.join(ROOT, "include", "couchdrop.h")

# What a case says of the account and the options where it says nothing.
LOGIN = {"username": "ada@example.com", "password": "correct horse battery staple"}
OPTIONS = {"backoff_ms": "0 0"}
FIELDS = ("code", "token", "http_status", "server_message", "retry_after", "attempts", "sent")
KEYS = {
    *("name", "server", "path", "username", "password", "system", "options", "connect", "times", "call_timeout_ms"),
    *("cancel", "set_late", "no_descriptors", "connections", "expect", "except"),
}
BODY_FORMATS = {"auto": 0, "form": 1, "json": 2}
# Longer than any case takes on a machine that is busy.
LONGEST = 30


class Runner:
    """A program that runs cases, one after the other, in one language."""

    def __init__(self, language, command, environment):
        # Before a dash: `c-musl` is C.
        self.label, self.language = language, language.split("-")[0]
        self._command = command
        self._environment = environment
        self._process = None

    async def tell(self, lines):
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
            )
        self._process.stdin.write("".join(line + "\n" for line in lines).encode())
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.drain()

    async def outcome(self):
        """What it says of the case; a sentence where it says nothing in time."""
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), LONGEST)
        except asyncio.TimeoutError:
            await self.stop(kill=True)
            return f"the program said nothing for {LONGEST} s"
        if not line.endswith(b"\n"):
            return f"the program ended with {await self.stop()}"
        return json.loads(line)

    async def stop(self, *, kill=False):
        process, self._process = self._process, None
        if process is None:
            return 0
        if kill:
            process.kill()
        process.stdin.close()
        return await process.wait()

    @contextlib.contextmanager
    def no_descriptors(self):
        """Lets the program open no more descriptors than it has."""
        pid = self._process.pid
        taken = set(map(int, os.listdir(f"/proc/{pid}/fd")))
        lowest = next(number for number in range(3, 1 << 16) if number not in taken)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


class Cases:
    """The case file, and what its cases share while they run."""

    def __init__(self, folder, proxy):
        with open(os.path.join(HERE, "cases.json"), encoding="utf-8") as file:
            content = json.load(file)
        self.all = content["cases"]
        with open(HEADER, encoding="utf-8") as file:
            self.codes = {
                name: int(value) for name, value in re.findall(r"^ +(CD_\w+) = (\d+),", file.read(), re.MULTILINE)
            }
        self.unprovoked = content["unprovoked"]
        for name, lines in content["files"].items():
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write("\n".join(lines))
        self.names = {
            "{files}": folder,
            "{ca}": os.environ["COUCHDROP_CA_FILE"],
            "{stand_in}": os.environ["COUCHDROP_BASE_URL"],
            "{stand_in_http}": os.environ["COUCHDROP_HTTP_URL"],
        }
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and not name.startswith("SSL_CERT_")
        }
        # Where a case sets no proxy and no CA file it meets these, not those of the machine.
        self.environment["HTTPS_PROXY"] = f"http://127.0.0.1:{proxy.port}"
        self.environment["SSL_CERT_FILE"] = os.path.join(folder, "other-ca.pem")

    def problems(self):
        """What is wrong with the file itself."""
        for case in self.all:
            odd = [*(set(case) - KEYS), *(set(case["expect"]) - set(FIELDS))]
            yield from (f"{case['name']}: there is no {name!r}" for name in odd)
        names = [case["name"] for case in self.all]
        yield from (f"{name!r} is there twice" for name in sorted(set(names)) if names.count(name) > 1)
        codes = set(self.codes)
        expected = {case["expect"]["code"] for case in self.all}
        yield from (f"{code} has no case, and no reason" for code in sorted(codes - expected - set(self.unprovoked)))
        yield from (f"{code} is in no header" for code in sorted((expected | set(self.unprovoked)) - codes))
        yield from (f"{code} has a case and a reason for none" for code in sorted(expected & set(self.unprovoked)))


def lines_of(case, names):
    """A case as a runner takes it."""
    settings = {**OPTIONS, **case.get("options", {}), **LOGIN}
    settings.update({name: case[name] for name in ("username", "password", "system") if name in case})
    if case.get("server") == "stand-in":
        settings = {"base_url": "{stand_in}", "ca_file": "{ca}", **settings}
    elif "server" in case:
        settings = {"base_url": "{server}", **settings}
    for name in ("call_timeout_ms", "times", "cancel"):
        if name in case:
            settings[name] = case[name]
    settings.update({name: None for name in ("connect", "set_late") if case.get(name)})
    for name, value in settings.items():
        value = BODY_FORMATS.get(value, value) if name == "body_format" else value
        if value is None:
            yield name
            continue
        value = text(value) if isinstance(value, (str, list, dict)) else str(value)
        for placeholder, its in names.items():
            value = value.replace(placeholder, its)
        yield f"{name} {urllib.parse.quote(to_bytes(value), safe=' /:')}"
    yield "run"


def expectation(case, language):
    """What a case expects in a language; None where it is not for it."""
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


def wrong_requests(case, server):
    """What of the requests was not as every login has to be."""
    login = {**LOGIN, **{name: text(case[name]) for name in LOGIN if name in case}}
    if case.get("system"):
        login["system"] = case["system"]
    product = case.get("options", {}).get("user_agent")
    agent = re.compile((re.escape(product) + " " if product else "") + r"libcouchdrop/\d+\.\d+\.\d+")
    path = case.get("path", "") + "/authenticate"
    for request in server.requests:
        if request is None or request.name not in ("form", "json"):
            continue
        if (request.method, request.target) != ("POST", path):
            yield f"{request.method} {request.target} was sent, not POST {path}"
        if request.login() != login:
            yield f"the login that was sent has other fields than {', '.join(login)}, or other values"
        if not agent.fullmatch(request.user_agent or ""):
            yield f"the user agent sent was {request.user_agent!r}"


def differences(case, expected, got):
    for field in FIELDS:
        want, have = text(expected[field]) if field == "server_message" else expected[field], got.get(field)
        if field == "token" and want is not None and have is not None:
            same = re.fullmatch(want, have)
        else:
            same = want == have
        if not same:
            yield f"{field}: {shown(have)}, not {shown(want)}"
    password = text(case.get("password") or LOGIN["password"])
    if len(password) > 3 and password in f"{got.get('message')} {got.get('server_message')}":
        yield "the password is in what the error says"


def shown(value):
    value = json.dumps(value, ensure_ascii=False)
    return value if len(value) < 100 else value[:90] + "…"


def comparable(message):
    """A message of the library without what differs from run to run: ports and durations."""
    return message and re.sub(r"(?<=:)\d+\b|\d+(\.\d+)? m?s\b", "N", re.sub(r"^couchdrop: ", "", message))


async def run_case(case, runner, cases):
    """How the case ends in the language of the runner, and what is wrong with it."""
    answers = case.get("server", "stand-in")
    async with Server(answers if isinstance(answers, list) else []) as server:
        names = {**cases.names, "{server}": f"http://127.0.0.1:{server.port}", "{port}": str(server.port)}
        lines = list(lines_of(case, names))
        *settings, run = lines
        await runner.tell(settings)
        with runner.no_descriptors() if case.get("no_descriptors") else contextlib.nullcontext():
            await runner.tell([run])
            if case.get("cancel") == "waiting":
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(server.asked.wait(), LONGEST)
                await runner.tell(["cancel"])
            got = await runner.outcome()
        if isinstance(got, str):
            return {}, [got]
        if isinstance(answers, list):
            got["sent"] = [request.name if request else "other" for request in server.requests]
        wrong = [*differences(case, expectation(case, runner.language), got), *wrong_requests(case, server)]
        if "connections" in case and server.connections != case["connections"]:
            wrong.append(f"{server.connections} connections, not {case['connections']}")
        return got, wrong


async def run_language(runner, cases):
    results = {}
    try:
        for case in cases.all:
            if expectation(case, runner.language) is not None:
                results[case["name"]] = await run_case(case, runner, cases)
    finally:
        status = await runner.stop()
    if status:
        results["the end"] = {}, [f"the program ended with {status}"]
    return results


def disagreements(cases, results):
    """Where languages differ in what no case says: the message, and whether the same call may succeed later."""
    for case in cases.all:
        # What a binding refuses or stops itself it says in its own words.
        its_own = cases.codes[case["expect"]["code"]] // 1000 in (2, 5)
        for field in ("retryable",) if its_own else ("retryable", "message"):
            said = {}
            for language, outcomes in results.items():
                got, _ = outcomes.get(case["name"], ({}, []))
                if field in got:
                    value = got[field]
                    said.setdefault(comparable(value) if field == "message" else value, []).append(language)
            if len(said) > 1:
                yield f"{case['name']}: {field}: " + "; ".join(
                    f"{', '.join(languages)}: {shown(value)}" for value, languages in said.items()
                )


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runners", nargs="+", metavar="LANGUAGE=COMMAND", help="c, cpp, python or go")
    parser.add_argument("--case", help="only the cases whose name has this in it")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        async with Server([{"status": 407}]) as proxy:
            cases = Cases(folder, proxy)
            failures = list(cases.problems())
            if arguments.case:
                cases.all = [case for case in cases.all if arguments.case in case["name"]]
            runners = [
                Runner(language, shlex.split(command), cases.environment)
                for language, command in (runner.split("=", 1) for runner in arguments.runners)
            ]
            ran = await asyncio.gather(*(run_language(runner, cases) for runner in runners))
    results = {runner.label: outcomes for runner, outcomes in zip(runners, ran)}

    for language, outcomes in results.items():
        for name, (got, wrong) in outcomes.items():
            failures += [f"{name}: {language}: {what} ({got.get('message')})" for what in wrong]
    failures += disagreements(cases, results)
    for failure in failures:
        print("FAILED  ", failure)
    counts = ", ".join(f"{len(outcomes)} in {language}" for language, outcomes in results.items())
    print(f"{len(cases.all)} cases: {counts}; {len(failures)} failed")
    return 1 if failures or not all(results.values()) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
