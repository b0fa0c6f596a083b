"""Processes that use stores, and files that they leave, for the tests of inspect and reset."""

import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

from harness import COMMAND, ROOT, WORK, run

HOLDER = r"""
import json, sys
sys.path.insert(0, sys.argv[1])
import admission
options = json.loads(sys.argv[3])
limits = [
    {"name": "rpm", "count": "requests", "limit": 4, "window": "1h"},
    {"name": "burst", "count": "requests", "rate": "1/h", "burst": 10},
    {"name": "rpd", "count": "requests", "limit": 100, "window": "day", "zone": "UTC"},
    {"name": "parallel", "count": "concurrency", "limit": 3, "lease": "1m"},
]
policy = {"admission": 1, "policies": [{"name": "p", "per": ["k"], "limits": limits}]}
if "watch" in options:
    policy_file = __import__("pathlib").Path(options["watch"])
    policy_file.write_text(json.dumps(policy))
limiter = admission.Limiter(policy_file if "watch" in options else policy, store=sys.argv[2], key_capacity=1000, **options.get("open", {}))
kept = []
for key, times in options["keys"].items():
    for _ in range(times):
        kept.append(limiter.gate(k=key).try_acquire().permit)
print("ready", flush=True)
for line in sys.stdin:
    if line == "close\n":
        for permit in kept:
            permit.complete()
        limiter.close()
    if line == "break\n":
        try:
            limiter.reload("{")
        except admission.PolicyError:
            pass
    if line == "mend\n":
        limiter.reload(policy)
    print("done", flush=True)
"""


@contextmanager
def holder(path, keys, watch=None, **options):
    """A process that opened the file, or the store of a URL, and acquired so many permits of each key,
    which it keeps; it may watch a policy file, which it writes first."""
    url = path if "://" in path else "file:" + path
    watched = {"watch": watch} if watch else {}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(ROOT / "bindings/python/src"), url,
         json.dumps({"keys": keys, "open": options, **watched})],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def eventually(holds, seconds=20):
    """Looks until it holds; a fault where it does not in so long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def tell(process, what):
    process.stdin.write(what + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n", what


def path_of(name):
    return str(WORK / f"{name}-{len(os.listdir(WORK))}")


def left_behind(name, keys):
    """A file whose process has closed it; its leases are completed."""
    path = path_of(name)
    with holder(path, keys) as process:
        tell(process, "close")
    return path


def inspect(path, *arguments):
    return json.loads(run("inspect", path, "--json", *arguments).stdout)


def keys_of(store, limit):
    rows = next(row for row in store["limits"] if row["limit"] == limit)["keys"]
    return {row["key"]["k"]: row for row in rows}


def broken(name, change):
    path = left_behind(name, {"a": 1})
    with open(path, "r+b") as file:
        change(file)
    return path


def poke(offset, value):
    def change(file):
        file.seek(offset)
        file.write(struct.pack("<Q", value))

    return change


def as_nobody(path, mode, *command):
    """Runs the command as another user, on a file of root's: all in a place that it can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o755)
        shutil.copy(path, f"{place}/quota")
        os.chmod(f"{place}/quota", mode)
        shutil.copy(COMMAND, f"{place}/admission")
        os.chmod(f"{place}/admission", 0o755)
        return subprocess.run(
            [f"{place}/admission", *command, f"{place}/quota"], user=65534, group=65534, extra_groups=[],
            cwd="/", capture_output=True, text=True, timeout=60,
        )  # fmt: skip


class Screen:
    """The command on a terminal of its own, in the foreground."""

    def __init__(self, *arguments):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(COMMAND, [COMMAND, *arguments])
        self.text = ""

    def read_until(self, text):
        deadline = time.monotonic() + 20
        while text not in self.text:
            assert time.monotonic() < deadline, f"no {text!r} in {self.text!r}"
            if select.select([self.descriptor], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.descriptor, 65536).decode(errors="replace")
                except OSError:
                    assert text in self.text, f"no {text!r} in {self.text!r}"

    def end(self):
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        return status
