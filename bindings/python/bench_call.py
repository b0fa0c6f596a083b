"""What a decision costs from Python, as a multiple of a plain ctypes call in the same run.

    python bench_call.py [--runs 7] [--calls 20000] [--json]

One round is ``try_acquire`` and ``complete`` over four limits (RPM and TPM rolling, RPD calendar,
concurrency); the plain call is libc's ``labs`` with three argtypes. In each run both are measured in
turn, a short slice at a time, in processor time of this thread, so that whatever else the machine does
hits both alike.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import sys
import time
from typing import Callable

import admission

SLICE = 500
POLICY = {
    "admission": 1,
    "policies": [
        {
            "name": "four limits",
            "per": ["project", "model"],
            "limits": [
                {"name": "rpm", "count": "requests", "limit": 10**9, "window": "1m"},
                {"name": "tpm", "count": "input_tokens", "limit": 10**12, "window": "1m"},
                {"name": "rpd", "count": "requests", "limit": 10**9, "window": "day"},
                {"name": "parallel", "count": "concurrency", "limit": 8},
            ],
        }
    ],
}


def plain_call() -> Callable[[int, int, int], int]:
    """The cheapest C function there is, called with three converted arguments."""
    function = ctypes.CDLL(None).labs  # looks at the first one alone
    function.argtypes = (ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    function.restype = ctypes.c_int64
    return function


def time_plain(function: Callable[[int, int, int], int], calls: int) -> float:
    """Nanoseconds a plain call."""
    start = time.thread_time_ns()
    for _ in range(calls):
        function(1, 1200, 300)
    return (time.thread_time_ns() - start) / calls


def time_round(gate: admission.Gate, calls: int) -> float:
    """Nanoseconds a decision with its completion."""
    try_acquire = gate.try_acquire
    start = time.thread_time_ns()
    for _ in range(calls):
        permit = try_acquire(input_tokens=1200).permit
        if permit is None:
            raise SystemExit("rejected: the policy's limits are too small for this run")
        permit.complete(input_tokens=1187, output_tokens=310)
    return (time.thread_time_ns() - start) / calls


def spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=7, help="interleaved runs, 5 or more")
    parser.add_argument("--calls", type=int, default=20_000, help="calls in each run")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args()

    plain = plain_call()
    plain_ns, round_ns = [], []
    with admission.Limiter(POLICY, "memory:") as limiter:
        gate = limiter.gate(project="acme", model="gemini-2.5-flash")
        time_plain(plain, 1_000), time_round(gate, 1_000)
        for _ in range(max(5, options.runs)):
            slices = max(1, options.calls // SLICE)
            pairs = [(time_plain(plain, SLICE), time_round(gate, SLICE)) for _ in range(slices)]
            plain_ns.append(sum(pair[0] for pair in pairs) / slices)
            round_ns.append(sum(pair[1] for pair in pairs) / slices)
    ratios = [round / plain for round, plain in zip(round_ns, plain_ns)]
    rows = {
        "plain ctypes call, ns": spread(plain_ns),
        "try_acquire + complete, ns": spread(round_ns),
        "ratio": spread(ratios),
    }
    if options.json:
        print(json.dumps({"python": sys.version.split()[0], **rows}))
        return
    print(f"Python {sys.version.split()[0]} ({sys.executable}), {admission.library_path}")
    for name, row in rows.items():
        numbers = "".join(f"{row[key]:10.2f}" for key in ("min", "median", "max"))
        print(f"{name:28}{numbers}   (min, median, max)")


if __name__ == "__main__":
    main()
