"""Runs the tests that take real processes: run.py [PART …]; without names, all of them."""

from __future__ import annotations

import importlib
import sys

from harness import Suite

PARTS = (
    "hammer", "kills", "stopped", "containers", "watched", "forks", "files", "remote", "outages", "cuts",
    "refusals", "hosts",
)


def main(names: list[str]) -> int:
    for name in names:
        if name not in PARTS:
            print(f"run.py: no part named {name}; there are: {' '.join(PARTS)}", file=sys.stderr)
            return 2
    suite = Suite()
    for name in names or PARTS:
        importlib.import_module(name).run(suite)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
