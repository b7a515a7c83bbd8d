"""The reference of the Python package, by pdoc, and its public names without a docstring."""

import ast
import inspect
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import couchdrop
import pdoc
import pdoc.doc
import pdoc.doc_ast
import pdoc.render
from couchdrop._abi import library


def write(out):
    """Writes the pages; returns the problems."""
    pdoc.render.configure(docformat="google", show_source=False, template_directory=Path(__file__).parent / "pdoc")
    return _problems(lambda: pdoc.pdoc("couchdrop", output_directory=out))


def _problems(make=lambda: None):
    """Missing docstrings, and the warnings of pdoc while it writes the pages."""
    _where_they_are_defined()
    _what_is_said_elsewhere()
    # The type of a logger has it in a string, which pdoc evaluates at each use of that type.
    sys.modules["couchdrop._options"].Any = Any
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        problems = list(_undocumented(pdoc.doc.Module(couchdrop)))
        make()
    return problems + sorted({f"pdoc: {warning.message}" for warning in caught})


def _where_they_are_defined():
    """The package says that its classes are defined in `couchdrop`, for tracebacks; pdoc reads the sources."""
    # Some modules are imported only now.
    values = [getattr(couchdrop, name) for name in couchdrop.__all__]
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("couchdrop._")]
    for value in values:
        if isinstance(value, type):
            for module in modules:
                for node in ast.parse(inspect.getsource(module)).body:
                    if isinstance(node, ast.ClassDef) and node.name == value.__name__:
                        value.__module__ = module.__name__
                        # Python 3.13 and later forget it when the module is set.
                        value.__firstlineno__ = min(part.lineno for part in [node, *node.decorator_list])


def _what_is_said_elsewhere():
    """The library explains codes, and `Client` its keywords."""
    codes = {code.name: library.cd_code_message(code).decode() for code in couchdrop.Code}
    keywords = dict(re.findall(r"^ +(\w+): (.+(?:\n {12,}.+)*)", couchdrop.Client.__doc__, re.M))
    for type_, explained in ((couchdrop.Code, codes), (couchdrop.ClientOptions, keywords)):
        pdoc.doc_ast.walk_tree(type_).var_docstrings.update(explained)


def _undocumented(namespace):
    """Public names without an explanation: a docstring, or for an attribute a line in that of its class."""
    for member in namespace.members.values():
        if member.name.startswith("_"):
            continue
        # Not in `is_inherited`: the module that a class is shown in is not the one that defines it.
        inherited = member.taken_from[1] != member.qualname
        # The docstring of a base class does not describe this class.
        said = (member.obj.__doc__ or "") if isinstance(member, pdoc.doc.Class) else member.docstring
        if not (inherited or said.strip() or f"{member.name}:" in namespace.docstring):
            yield f"{member.fullname}: public, but not explained"
        if isinstance(member, pdoc.doc.Class):
            yield from _undocumented(member)


if __name__ == "__main__":
    for problem in (problems := _problems()):
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)
