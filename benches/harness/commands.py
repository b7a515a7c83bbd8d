"""Running commands."""

import subprocess


def run(*command, env=None, cwd=None, timeout=600):
    """Runs a command that must succeed; returns its standard output and error."""
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, cwd=cwd, timeout=timeout, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{said}")
    return done.stdout, done.stderr


def output(*command, **settings):
    return run(*command, **settings)[0].strip()
