"""Runs the cases of cases.json through C, C++, Python and Go, and compares how they ended: see README.md."""

import argparse
import asyncio
import contextlib
import json
import re
import shlex
import sys
import tempfile

from case_file import FIELDS, LOGIN, Cases, expectation, lines_of, replies, text
from program import LONGEST, FaultServer, Runner, build_fault_server


def wrong_requests(case, server):
    """The requests that differ from a correct login."""
    login = {**LOGIN, **{name: text(case[name]) for name in LOGIN if name in case}}
    if case.get("system"):
        login["system"] = case["system"]
    product = case.get("options", {}).get("user_agent")
    agent = re.compile((re.escape(product) + " " if product else "") + r"libcouchdrop/\d+\.\d+\.\d+")
    path = case.get("path", "") + "/authenticate"
    for request in server.requests:
        if request.name not in ("form", "json"):
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
        yield "the password is in the error message"


def shown(value):
    value = json.dumps(value, ensure_ascii=False)
    return value if len(value) < 100 else value[:90] + "…"


def comparable(message):
    """A message of the library without the parts that vary from run to run: ports and durations."""
    return message and re.sub(r"(?<=:)\d+\b|\d+(\.\d+)? m?s\b", "N", re.sub(r"^couchdrop: ", "", message))


async def run_case(case, runner, cases):
    """How the case ends in the language of the runner, and what is wrong with it."""
    async with contextlib.AsyncExitStack() as stack:
        names, server = cases.names, None
        if isinstance(case.get("server"), list):
            responses = list(replies(case["server"]))
            server = await stack.enter_async_context(FaultServer(cases.fault_server, responses))
            names = {**names, "{server}": f"http://127.0.0.1:{server.port}", "{port}": str(server.port)}
        if case.get("no_descriptors"):
            await stack.enter_async_context(runner.no_descriptors())
        await runner.tell(lines_of(case, names))
        if case.get("cancel") == "waiting":
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(server.asked.wait(), LONGEST)
            await runner.tell(["cancel"])
        got = await runner.outcome()
    if isinstance(got, str):
        return {}, [got]
    if server is None:
        return got, list(differences(case, expectation(case, runner.language), got))
    got["sent"] = [request.name for request in server.requests]
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
    """Differences between languages in results that no case specifies: the message, and is_retryable."""
    for case in cases.all:
        # A binding's own errors have their own messages.
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
        fault_server = build_fault_server()
        async with FaultServer(fault_server, list(replies([{"status": 407}]))) as proxy:
            cases = Cases(folder, proxy, fault_server)
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
