"""Four processes in three languages on one server: never above a limit, and close to it.

A decision's instants are the server's whole microseconds, and the scripts count with the same instants
that the log holds: the oracle has no allowance here either. What a rolling limit may leave unused is
its cells' share: 61 cells of 1/60 of the window, each rounded up to a microsecond, 1.7 % of it.
"""

from __future__ import annotations

from hammer import FOUR, Ground, bucket, calendar, flat_out, rolling, two
from harness import Place, Suite
from servers import Server


def run(suite: Suite) -> None:
    with Server() as server:

        def ground_place() -> Place:
            client = server.client()
            client("FLUSHALL")
            client.close()
            place = Place(url=server.url)
            place.settings = {"deadline": "10s"}  # how quick the machine is does not count here
            return place

        ground = Ground(
            "redis: ", ground_place, FOUR, rolling_share=0.97, other_share=0.99, divisor=3)
        for name, part in (("rolling", rolling), ("bucket", bucket), ("calendar", calendar),
                           ("flat out", flat_out), ("two processes", two)):
            suite.run(f"hammer on redis: {name}", part, ground)
        check_server(suite, server)


def check_server(suite: Suite, server: Server) -> None:
    """What is left when the processes are gone."""
    client = server.client()
    names = client.keys()
    without = [name for name in names if client("PTTL", name) < 0]
    suite.check("redis: every key expires", bool(names) and not without, without or len(names))
    own = [line for line in client("CLIENT", "LIST").splitlines() if b"name=admission" in line]
    suite.check("redis: no connection is left", not own, len(own) or "")
    client.close()
