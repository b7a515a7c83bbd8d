"""Self-test: each check must find its fault in a page with one fault, and none in a page without one."""

import re
import sys

import figures
import run
from page import ROOT, Page
from work import World

FENCE = "```"

SOUND = """# A page

[Writing](WRITING.md#blocks-of-code), [itself](#a-page), ![no picture](../LICENSE-MIT), `docs/WRITING.md`, `src/`,
`cd_authenticate()`, `CD_ERR_*`, `COUCHDROP_CA_FILE`, `make test-docs`, `make install PREFIX=/opt`, `scripts/demo`,
`couchdrop::Token`, `couchdrop.Client.authenticate`, `couchdrop.WithTimeout`, `ErrRateLimited`, within 50 ms,
`target_os_is_only_in_sys`, `TestDefaultsMatchHeader`,
`fake_server run --as-service true`, `python -m couchdrop login ada@example.com --password-stdin`, `tests/*.rs`,
<!-- figure: include/couchdrop.h / COUCHDROP_ABI_VERSION (\\d+) -->1<!-- end -->.

| 1403 | `CD_ERR_ACCESS_DENIED` |
| --- | --- |

```sh run says="by hand"
export WHAT=hand && echo "by $WHAT" # a comment
```

```console run
$ echo "$WHAT: $(cat kept.txt)"
hand: k…t
```

```text save=kept.txt
kept
```
"""

C = """\
#include <couchdrop.h>
#include <stdlib.h>

int main(void) {
    cd_token *token;
    cd_code code = cd_authenticate(getenv("COUCHDROP_USERNAME"), getenv("COUCHDROP_PASSWORD"), NULL, &token, NULL);
    cd_token_free(token);
    return code != CD_OK;
}
"""

PYTHON = """\
import os
import couchdrop

try:
    token = couchdrop.authenticate(os.environ["COUCHDROP_USERNAME"], os.environ["COUCHDROP_PASSWORD"])
except couchdrop.CouchdropError as error:
    raise SystemExit(error.code_name)
"""


def block(info, code):
    return f"{FENCE}{info}\n{code}{FENCE}\n"


# The fault, the page, and the complaint.
FAULTS = [
    # Blocks.
    ("a block without a language", block("", "x\n"), "a block of no language"),
    ("an unknown language", block("perl", "x\n"), "a block of perl"),
    ("a block that never ends", f"{FENCE}text\nx\n", "never closed"),
    ("an unknown word", block("c frgment", "int x;\n"), "no such word: frgment"),
    ("an unknown word for shell", block("sh runs", "true\n"), "no such word: runs"),
    ("two kinds at once", block("c unit fragment", "int x;\n"), "can't be both"),
    ("what would be run and is not", block("c unit exit=1", "int x;\n"), "is not run"),
    ("shell that would be run and is not", block("sh exit=1", "false\n"), "is not run"),
    ("no reason for what is only shown", block("go shown", "x\n"), "needs the reason"),
    ("words where nothing is done", block("json exit=1", "{}\n"), "has no words"),
    ("broken JSON", block("json", "{\n"), "is no JSON"),
    # Programs.
    (
        "C that does not compile",
        block("c", "int main(void) { return x; }\n"),
        r"planted.md:2:\d+: error: .x. undeclared",
    ),
    ("C with a warning", block("c", "int main(void) { int x; return 0; }\n"), "unused variable"),
    (
        "a code that is ignored",
        block("c fragment", "cd_connect(options, cancel, 0, NULL);\n"),
        "unused-result",
    ),
    (
        "C++ that does not compile",
        block("cpp unit", "#include <couchdrop.hpp>\ncouchdrop::Tokn x;\n"),
        "Tokn",
    ),
    (
        "Go that does not compile",
        block("go fragment", "client.Athenticate(ctx, credentials)\n"),
        "Athenticate",
    ),
    ("Python that is none", block("python fragment", "x = = 1\n"), "is no Python"),
    (
        "a name in Python that nothing defines",
        block("python fragment", "print(pasword)\n"),
        "nothing defines pasword",
    ),
    (
        "a function that the package has not",
        block("python fragment", "couchdrop.connect_now()\n"),
        "no couchdrop.connect_now",
    ),
    (
        "an option that a client has not",
        block("python fragment", "couchdrop.Client(time_out=1)\n"),
        "takes no time_out",
    ),
    ("a login that fails", block("c account=nobody", C), "ended with status 1 in place of 0"),
    (
        "a login that succeeds",
        block("python exit=1", PYTHON),
        "ended with status 0 in place of 1",
    ),
    (
        "another failure",
        block('python account=limited exit=1 says="CD_ERR_SERVER"', PYTHON),
        "does not say",
    ),
    (
        "a password on the screen",
        block("python", 'import os\nprint(os.environ["COUCHDROP_PASSWORD"])\n'),
        "prints a password",
    ),
    (
        "a token on the screen",
        block("python", PYTHON.replace("except", "    print(token.value)\nexcept")),
        "or a token",
    ),
    # Shell.
    ("no shell", block("sh", "if true\n"), "bash can't read it"),
    ("a program that is not there", block("sh", "true && mkae demo\n"), "no program mkae"),
    ("a program in a substitution", block("sh", 'echo "$(pkg-confg --libs x)"\n'), "no program pkg-confg"),
    ("a script that is not there", block("sh", "scripts/dmeo\n"), "there is no scripts/dmeo"),
    ("a target that is not there", block("sh", "make dmeo\n"), "no target dmeo"),
    ("a step that is not there", block("sh", "cd x; make test-dosc\n"), "no target test-dosc"),
    ("a setting that make does not know", block("sh", "make install PREFX=/opt\n"), "no PREFX"),
    ("a file that is not there", block("sh", "cat examples/c/logn.c\n"), "there is no examples/c/logn.c"),
    (
        "an option of the fake server",
        block("sh", "scripts/with-fake-server --as-servce ./x\n"),
        "no option --as-servce",
    ),
    (
        "an account of the fake server",
        block("sh", "scripts/with-fake-server --account eva ./x\n"),
        "no account eva",
    ),
    (
        "a command inside the fake server",
        block("sh", "cargo run -p couchdrop-fake-server -- run mkae\n"),
        "no program mkae",
    ),
    (
        "an option of the module",
        block("sh", "python -m couchdrop login ada --pasword x\n"),
        "has no --pasword",
    ),
    ("a crate that is not there", block("sh", "cargo doc -p couchdrop-standin\n"), "no couchdrop-standin"),
    ("a test that is not there", block("sh", "cargo test --test secrts\n"), "no secrts"),
    ("a tag that is not there", block("sh", "go build -tags couchdrop_dynmic\n"), "no tag couchdrop_dynmic"),
    ("a session that fails", block("sh run", "echo before\nfalse\n"), "fails:\nbefore"),
    ("one that should fail", block("sh run exit=3", "true\n"), r"\(status 0\)"),
    ("one that says something else", block('sh run says="b"', "echo a\n"), "does not say 'b'"),
    (
        "a console that prints something else",
        block("console run", "$ echo a\nb\n"),
        "prints something else:\na",
    ),
    ("a console without a prompt", block("console", "echo a\n"), "begins with a command"),
    ("a session that goes elsewhere", block("sh run", "curl -sS https://example.com/\n"), "403"),
    ("a file that is saved for nobody", block("text save=x.txt", "x\n"), "no block that runs names x.txt"),
    # Links.
    ("a link to nowhere", "[x](WRITNG.md)\n", "links to WRITNG.md"),
    ("a link out of the repository", "[x](../../x.md)\n", r"links to ../../x.md"),
    ("a picture that is not there", "![x](x.svg)\n", "links to x.svg"),
    ("an anchor of another page", "[x](WRITING.md#bloks)\n", "no such heading"),
    ("an anchor of its own", "# A\n[x](#b)\n", "no such heading"),
    # Names.
    ("a Rust test that is not there", "`redirect_is_not_folowed`\n", "there is no test redirect_is_not_folowed"),
    ("a Go test that is not there", "`TestClosse`\n", "there is no test TestClosse"),
    ("a function that is not there", "`cd_autenticate()`\n", "no cd_autenticate"),
    ("a code that is not there", "CD_ERR_TIMEOUTS\n", "no CD_ERR_TIMEOUTS"),
    ("a beginning that nothing has", "`cd_option_*`\n", r"no cd_option_\*"),
    ("a variable that nothing reads", block("text", "COUCHDROP_TIMEOUT=1\n"), "no COUCHDROP_TIMEOUT"),
    ("a code with another's number", "| 1404 | `CD_ERR_ACCESS_DENIED` |\n", "is 1403, not 1404"),
    ("a code that a table lacks", "TABLE", "the table lacks CD_ERR_TIMEOUT$"),
    ("an option in Python", "`ca_fil=`\n", "no ca_fil"),
    ("a name in Python and Go", "`couchdrop.Clinet`\n", "couchdrop.Clinet"),
    ("a method in Python", "`couchdrop.Client.autenticate`\n", "couchdrop.Client.autenticate"),
    ("a name in C++", "`couchdrop::Tokn`\n", "no couchdrop::Tokn"),
    ("an error in Go", "`ErrTimedOut`\n", "no ErrTimedOut"),
    ("an error in Python", "`TransprtError`\n", "no TransprtError"),
    ("a path that is not there", "`src/http/pol.rs`\n", "no src/http/pol.rs"),
    ("a path that nothing makes", "`target/pakages`\n", "nothing makes target/pakages"),
    ("a command in the text", "Run `make dmeo`.\n", "no target dmeo"),
    # Figures.
    ("a number that nobody promises", "It takes 51 ms.\n", "where does 51 ms come from"),
    (
        "a stale figure",
        r"<!-- figure: include/couchdrop.h / ABI_VERSION (\d+) -->2<!-- end -->" + "\n",
        "is stale",
    ),
    ("a figure from nowhere", "<!-- figure: src/x.rs / (x) -->2<!-- end -->\n", "there is no src/x.rs"),
    ("a figure that is not there", "<!-- figure: src/lib.rs / (xyzzy) -->2<!-- end -->\n", "is 0 times"),
    ("a figure that was never measured", "<!-- figure: reliability / x / y -->2<!-- end -->\n", "is 0 times"),
    ("a figure without an end", "<!-- figure: src/lib.rs / (x) -->2\n", "without its end"),
    (
        "a stale table",
        "<!-- table: measured\nrows: a; b = second row\nms: Some / wall\n-->\n| x |\n<!-- end -->\n",
        r"\| a \| 1.50 \|\n\| b \| 2 \|",
    ),
]

MEASURED = """## Some figures

| | wall ms | CPU ms |
| --- | ---: | ---: |
| a | 1.50 (1.2–1.9) | 1 |
| second row | 2 | 2 |
"""


def main():
    world = World()
    figures.MEASURED["measured"] = "target/blocks/measured.md"
    (ROOT / figures.MEASURED["measured"]).write_text(MEASURED, encoding="utf-8")
    sound = Page("docs/planted.md", SOUND)
    codes = world.facts.codes.items()
    table = "".join(
        f"| {code} | `{name}` |\n" for name, code in codes if name not in ("CD_OK", "CD_ERR_TIMEOUT")
    )
    pages = [Page("docs/planted.md", text.replace("TABLE", table)) for _, text, _ in FAULTS]
    try:
        # Each page is checked on its own, because its runs use a folder of its name.
        for page in [sound, *pages]:
            run.check([page], {}, world)
    finally:
        world.close()
    missed = [f"the sound page: {problem}" for problem in sound.problems]
    for (what, _, wanted), page in zip(FAULTS, pages):
        if not any(re.search(wanted, problem) for problem in page.problems):
            missed.append(f"{what}: not found; {page.problems or 'no complaint'}")
    for line in missed:
        print(line)
    print(
        f"{len(FAULTS)} faults planted, {len(FAULTS) - sum(not line.startswith('the sound') for line in missed)} found"
    )
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
