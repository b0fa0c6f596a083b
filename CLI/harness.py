"""What the tests of the command share: running it, files to run it on, and counting."""

import os
import pty
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND = str(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "CLI/.build/release/admission").resolve())
SCRATCH = tempfile.TemporaryDirectory()
# Deep enough that ../shared is inside it: no trace of this machine is found by accident.
WORK = Path(SCRATCH.name) / "work"
WORK.mkdir()
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run(*arguments, code=0, cwd=None, **variables):
    """Runs the command, checks how it ended, and returns what it printed."""
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, cwd=cwd or WORK, env=environment, timeout=60
    )
    assert done.returncode == code, f"ended with {done.returncode}: {done.stdout}{done.stderr}"
    assert (done.stderr == "") == (code == 0) or "--json" in arguments, f"stderr: {done.stderr}"
    return done


def write(name, text):
    path = WORK / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def on_terminal(*arguments, **variables):
    """What the command prints when its output is a terminal."""
    reader, writer = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **variables}
    environment.pop("NO_COLOR", None) if "NO_COLOR" not in variables else None
    subprocess.run([COMMAND, *arguments], stdout=writer, env=environment, timeout=60, check=True)
    os.close(writer)
    text = os.read(reader, 65536)
    os.close(reader)
    return text


def main():
    failed = 0
    for function in TESTS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      {name}")
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc(limit=-1)}")
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    return 1 if failed else 0
