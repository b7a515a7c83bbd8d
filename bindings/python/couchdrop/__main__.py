"""``python -m couchdrop`` runs the program `couchdrop`, which a wheel installs beside this package."""

import os
import sys
import sysconfig

NAME = "couchdrop"


def main() -> None:
    """Replaces this process by the program."""
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    # `pip install --target`
    folders.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin"))
    for folder in folders:
        program = os.path.join(folder, NAME)
        if os.access(program, os.X_OK):
            os.execv(program, [NAME, *sys.argv[1:]])
    sys.exit(
        f"couchdrop: the program {NAME} is not in {', '.join(folders)}: install this package from a wheel, "
        "or the program by `make install`"
    )


if __name__ == "__main__":
    main()
