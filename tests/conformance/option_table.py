"""Reads options.def, the options that a case can set."""

import os
import re

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "options.def")


def options():
    """The keyword in Python and the kind of each option, by the name of its setter in C."""
    with open(TABLE, encoding="utf-8") as file:
        lines = re.findall(r"^([A-Z]+)\((\w+)(?:, \w+)?\)$", file.read(), re.MULTILINE)
    return {name + "_ms" * kind.startswith("DURATION"): (name, kind) for kind, name in lines}
