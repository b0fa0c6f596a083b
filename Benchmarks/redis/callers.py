"""Callers who wait for each decision, on one Redis server of its own: Benchmarks/redis/run prints it too.

    Benchmarks/redis/callers.py [ROUNDS] [SECONDS]

Rows take turns. `bare` is a hiredis loop that sends the very command of a decision on three limits and reads
the reply; the library's callers go through its C interface; the rivals from PyPI and the binding are
called as their documentation shows, with one limit.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "Tests/redis"))
sys.path.insert(0, str(ROOT / "Benchmarks/redis"))

from client import CALENDAR, ROLLING, Limit, Scope  # noqa: E402
from run import DAY, acquire  # noqa: E402
from server import Server  # noqa: E402

MOST = 10**12
# Nobody is to be turned away because a neighbour has the machine.
STORE = {"deadline": "10s"}
THREE = {"admission": 1, "store": STORE, "policies": [{"name": "main", "per": ["project"], "limits": [
    {"name": "rpm", "count": "requests", "limit": MOST, "window": "1m"},
    {"name": "tpm", "count": "input_tokens", "limit": MOST, "window": "1m"},
    {"name": "rpd", "count": "requests", "limit": MOST, "window": "day"}]}]}
ONE = {"admission": 1, "store": STORE, "policies": [{"name": "main", "per": ["project"], "limits": [
    {"name": "rpm", "count": "requests", "limit": MOST, "window": "1m"}]}]}


def with_lease(document):
    """With a concurrency limit beside the others."""
    policy = document["policies"][0]
    parallel = {"name": "parallel", "count": "concurrency", "limit": 1_000_000}
    return {**document, "policies": [{**policy, "limits": [*policy["limits"], parallel]}]}


def three(name):
    return Scope(name, [Limit(ROLLING, "rpm", MOST, 60_000_000), Limit(ROLLING, "tpm", MOST, 60_000_000),
                        Limit(CALENDAR, "rpd", MOST, 0, DAY)])


def per_second(call, seconds):
    for _ in range(100):
        call()
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for _ in range(50):
            call()
        count += 50
    return count / (time.perf_counter() - begin)


def limits_row(port, seconds):
    import limits

    limiter = limits.strategies.SlidingWindowCounterRateLimiter(
        limits.storage.RedisStorage(f"redis://127.0.0.1:{port}"))
    item = limits.parse("1000000000/minute")
    return per_second(lambda: limiter.hit(item, "acme"), seconds)


def throttled_row(port, seconds):
    from throttled import RateLimiterType, Throttled, rate_limiter, store

    throttle = Throttled(key="acme", using=RateLimiterType.GCRA.value,
                         quota=rate_limiter.per_sec(1_000_000_000, burst=1_000_000_000),
                         store=store.RedisStore(server=f"redis://127.0.0.1:{port}/0"))
    return per_second(throttle.limit, seconds)


def binding_row(port, seconds):
    sys.path.insert(0, str(ROOT / "bindings/python/src"))
    os.environ.setdefault("ADMISSION_LIBRARY", str(ROOT / "build/lib/libadmission.so.0"))
    import admission

    limiter = admission.Limiter(ONE, store=f"redis://127.0.0.1:{port}")
    gate = limiter.gate(project="acme")
    rate = per_second(gate.try_charge, seconds)
    limiter.close()
    return rate


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    program = ROOT / "build/callers"
    subprocess.run(["cc", "-O2", "-std=gnu11", "-Wall", "-o", program, ROOT / "Benchmarks/redis/callers.c",
                    f"-I{ROOT}/include", f"-L{ROOT}/build/lib", f"-Wl,-rpath,{ROOT}/build/lib",
                    "-ladmission", "-lhiredis", "-lpthread"], check=True)

    def run(*words, data=b""):
        output = subprocess.run([program, *map(str, words)], input=data, capture_output=True)
        if output.returncode:
            raise RuntimeError(output.stderr.decode().strip())
        rate, median, high = output.stdout.split()
        return float(rate), float(median) / 1000, float(high) / 1000

    def bare(server, redis):
        return run("bare", server.port, seconds, data=acquire(redis, three, {})[0])

    def callers(verb, document, threads, slices=False):
        if slices:
            document = {**document, "store": {**STORE, "slices": True}}

        def row(server, redis):
            url = f"redis://127.0.0.1:{server.port}"
            return run(verb, url, json.dumps(document), threads, seconds)
        return row

    def python(call):
        return lambda server, redis: (call(server.port, seconds), None, None)

    rows = {
        "bare hiredis loop, three limits": bare,
        "one caller, three limits": callers("charge", THREE, 1),
        "64 callers, three limits": callers("charge", THREE, 64),
        "one caller, acquire and complete, four": callers("acquire", with_lease(THREE), 1),
        "one caller, slices": callers("charge", THREE, 1, slices=True),
        "one caller, slices, acquire and complete": callers("acquire", THREE, 1, slices=True),
        "two callers, slices": callers("charge", THREE, 2, slices=True),
        "python: this library, one limit": python(binding_row),
        "python: limits, one limit": python(limits_row),
        "python: throttled-py, one limit": python(throttled_row),
    }
    found = {row: [] for row in rows}
    with Server() as server:
        for _ in range(rounds):
            for name, row in rows.items():
                redis = server.connect()
                redis.flushall()
                try:
                    found[name].append(row(server, redis))
                except (ImportError, RuntimeError) as error:
                    print(f"{name}: {error}", file=sys.stderr)
    one = found["one caller, three limits"]
    print(f"{'':42} {'best rate':>12} {'x bare':>7} {'x one caller':>13} {'median us':>10} {'p99 us':>8}")
    for name, values in found.items():
        if not values:
            print(f"{name:42} {'could not be measured':>12}")
            continue
        to_bare = statistics.median(v[0] / b[0] for v, b in zip(values, found["bare hiredis loop, three limits"]))
        to_one = statistics.median(v[0] / b[0] for v, b in zip(values, one))
        times = "" if values[0][1] is None else (
            f"{statistics.median(v[1] for v in values):10.1f} {statistics.median(v[2] for v in values):8.1f}")
        print(f"{name:42} {max(v[0] for v in values):10,.0f}/s {to_bare:7.2f} {to_one:13.2f} {times}")


if __name__ == "__main__":
    main()
