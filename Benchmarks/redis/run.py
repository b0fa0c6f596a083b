"""Decisions a second on a Redis server of its own, 50 connections x 16 commands a batch.

    Benchmarks/redis/run [ROUNDS] [SECONDS]

Rows take turns, a round runs each once on an emptied server; a figure is the best of the rounds (a
neighbour on a core only ever slows a run), and ratios are to the one-bucket script of the same run.
Processor time is the server's own, a command; it too grows where neighbours share a core's caches.
Leases are not given back, so a key's set grows through a run.
"""

import statistics
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "Tests/redis"))

from client import BUCKET, CALENDAR, CONCURRENCY, ROLLING, Client, Limit, Scope  # noqa: E402
from server import Server  # noqa: E402

KEYS = 100
MEMBER = b"@member@member@m"
DAY = 86_400_000_000


def resp(*parts):
    parts = [p if isinstance(p, bytes) else str(p).encode() for p in parts]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def four(name, limit):
    return Scope(name, [
        Limit(ROLLING, "rpm", limit, 60_000_000), Limit(ROLLING, "tpm", limit, 60_000_000),
        Limit(CALENDAR, "rpd", limit, 0, DAY), Limit(CONCURRENCY, "parallel", 1_000_000, 30_000_000),
    ])


def acquire(server, make, cost, quick=True):
    """One command for each key, as a client sends them that has seen each scope before."""
    client = Client(server, clock="time", quick=quick)
    seconds, micros = server.time()
    client.wall = seconds * 1_000_000 + micros
    commands = []

    def run(name, keys, arguments):
        client.last = resp("EVALSHA", client.sha(name), len(keys), *keys, *arguments)
        return Client.run(client, name, keys, arguments)

    client.run, plain = run, client.run
    for key in range(KEYS):
        scope = make(f"p{key}")
        client.acquire([scope], cost, member=b"first" + bytes(11))
        client.acquire([scope], cost, member=MEMBER)
        server.hdel(f"{scope.prefix}:l0", MEMBER)
        commands.append(client.last)
    return commands


def gcra(server):
    sha = server.script_load((ROOT / "Benchmarks/redis/gcra.lua").read_text())
    return [resp("EVALSHA", sha, 1, f"gcra:{key}", 1, 60_000_000) for key in range(KEYS)]


def single(name):
    return Scope(name, [Limit(BUCKET, "b", 10**9, interval=Fraction(1, 1000))])


def single_rolling(name):
    return Scope(name, [Limit(ROLLING, "r", 10**9, 60_000_000)])


ROWS = {
    "gcra": gcra,
    "four limits": lambda s: acquire(s, lambda n: four(n, 10**9), {}),
    "four limits, cost 4,000,000": lambda s: acquire(s, lambda n: four(n, 10**12), {"tpm": 4_000_000}),
    "four limits of 10, refused": lambda s: acquire(s, lambda n: four(n, 10), {"tpm": 10}),
    "four limits, the full way": lambda s: acquire(s, lambda n: four(n, 10**9), {}, quick=False),
    "one bucket": lambda s: acquire(s, single, {}),
    "one rolling": lambda s: acquire(s, single_rolling, {}),
}


def processor(redis):
    """Microseconds of processor time that the server has used."""
    info = redis.info("cpu")
    return 1e6 * (info["used_cpu_user"] + info["used_cpu_sys"])


def calls(redis):
    return redis.info("commandstats")["cmdstat_evalsha"]["calls"]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = sys.argv[2] if len(sys.argv) > 2 else "2"
    program = ROOT / "build/pipelined"
    program.parent.mkdir(exist_ok=True)
    subprocess.run(["cc", "-O2", "-std=gnu99", "-Wall", "-o", program,
                    ROOT / "Benchmarks/redis/pipelined.c"], check=True)
    rates = {row: [] for row in ROWS}
    times = {row: [] for row in ROWS}
    with Server() as server:
        for _ in range(rounds):
            for row, make in ROWS.items():
                redis = server.connect()
                redis.flushall()
                commands = make(redis)
                redis.config_resetstat()
                data = b"".join(struct.pack("<I", len(c)) + c for c in commands)
                before = processor(redis)
                output = subprocess.run([program, str(server.port), "50", "16", seconds],
                                        input=data, stdout=subprocess.PIPE, check=True).stdout
                rate, errors = output.split()
                if int(errors):
                    raise SystemExit(f"{row}: {int(errors)} errors")
                rates[row].append(float(rate))
                times[row].append((processor(redis) - before) / calls(redis))
    print(f"{'':30} {'best rate':>11} {'x gcra: best':>13} {'median':>7} {'processor us':>13} {'x gcra':>7}")
    for row, values in rates.items():
        ratios = [value / base for value, base in zip(values, rates["gcra"])]
        print(f"{row:30} {max(values):9,.0f}/s {max(values) / max(rates['gcra']):13.2f} "
              f"{statistics.median(ratios):7.2f} {min(times[row]):13.2f} "
              f"{min(times['gcra']) / min(times[row]):7.2f}")


if __name__ == "__main__":
    main()
