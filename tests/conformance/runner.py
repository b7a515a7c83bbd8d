"""Runs the cases from standard input through the Python package: see README.md."""

import asyncio
import json
import sys
import urllib.parse

import couchdrop
from option_table import options

BODY_FORMATS = {0: "auto", 1: "form", 2: "json"}


def text(value):
    """None is a missing string. A byte that is not UTF-8 becomes a lone surrogate."""
    return None if value is None else urllib.parse.unquote(value, errors="surrogateescape")


def seconds(value):
    return int(value) / 1000


def body_format(value):
    return BODY_FORMATS.get(int(value), value)


def backoff(value):
    return tuple(map(seconds, text(value).split()))


PARSERS = {"TEXT": text, "NUMBER": int, "DURATION": seconds, "DURATIONS": backoff}
# The lines of a case that set a client's options: the keyword, and the parser of its value.
OPTIONS = {setter: (keyword, PARSERS[kind]) for setter, (keyword, kind) in options().items()}
OPTIONS["body_format"] = ("body_format", body_format)


def run(case):
    """Returns the token, or None if the case only connects."""
    options = {keyword: read(case.pop(name)) for name, (keyword, read) in OPTIONS.items() if name in case}
    times = int(case.pop("times", 1))
    connects = case.pop("connect", "") is None
    cancel = case.pop("cancel", None)
    timeout = seconds(case.pop("call_timeout_ms")) if "call_timeout_ms" in case else None
    login = (text(case.pop("username", None)), text(case.pop("password", None)))
    keywords = {"system": text(case.pop("system", None)), "timeout": timeout}
    if case:
        raise SystemExit(f"runner: no setting {next(iter(case))}")
    with couchdrop.Client(**options) as client:
        if cancel:
            return asyncio.run(run_cancelled(client, cancel, login, keywords))
        token = None
        for _ in range(times):
            if connects:
                client.connect(timeout=timeout)
            else:
                token = client.authenticate(*login, **keywords).value
        return token


async def run_cancelled(client, cancel, login, keywords):
    task = asyncio.create_task(client.authenticate_async(*login, **keywords))
    if cancel == "waiting":
        await asyncio.to_thread(sys.stdin.readline)
    task.cancel()
    return (await task).value


def outcome(case):
    """The result of a case."""
    try:
        return {"code": "CD_OK", "token": run(case), "retryable": False}
    except couchdrop.CouchdropError as error:
        return {
            "code": error.code_name,
            "message": str(error),
            "http_status": error.http_status,
            "server_message": error.server_message,
            "retry_after": error.retry_after,
            "attempts": error.attempts,
            "retryable": error.retryable,
        }
    except asyncio.CancelledError:
        return {"code": "CD_ERR_CANCELLED", "retryable": False}


def main():
    case = {}
    for line in iter(sys.stdin.readline, ""):
        name, space, value = line.rstrip("\n").partition(" ")
        if name == "run":
            print(json.dumps(outcome(case)), flush=True)
            case = {}
        else:
            case[name] = value if space else None


if __name__ == "__main__":
    main()
