"""A connection that ends at every byte of a reply, or of what was asked: what was charged counts once, and
nothing is ever sent twice."""

from __future__ import annotations

from typing import Any, NamedTuple

from harness import IS_SOAK, LANGUAGES, Answer, Place, Suite, Worker, wait_until
from proxies import Proxy
from servers import Client, Server

COST, USED = 7, 2
UNAVAILABLE = "601"
MOST_BYTES = 4_096
"""Of a reply or a call; both are shorter."""
SPOILED = (
    b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"*0\r\n", b"$8\r\n12345678\r\n", b"$3\r\nabc\r\n", b"\r\n", b"\0" * 64,
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*2147483647\r\n", b"-\r\n", b"$x\r\n",
    b"*1\r\n" * 100, b"-MOVED 1 127.0.0.1:1\r\n", b"-ERR unknown\r\n",
    *((b"$99999999999\r\n",) if IS_SOAK else ()),  # waited for until the connection counts as stalled
)
POLICY = {
    "name": "cuts", "match": {"project": "*"}, "per": ["project"],
    "limits": [
        {"name": "tokens", "count": "input_tokens", "limit": 10**9, "window": "year"},
        {"name": "calls", "count": "requests", "limit": 10**9, "window": "year"},
        {"name": "parallel", "count": "concurrency", "limit": 10_000, "lease": "1h"},
    ],
}


class Use(NamedTuple):
    """What the server has counted, and how many calls of scripts it was asked for."""

    tokens: int
    calls: int
    parallel: int
    scripts: int

    def more_than(self, other: Use) -> Use:
        return Use(*(now - before for now, before in zip(self, other)))


class Cutting:
    """A worker behind a proxy, and an observer that asks the server itself."""

    def __init__(self, place: Place, server: Server, proxy: Proxy, language: str) -> None:
        self.server, self.proxy = server, proxy
        place.settings = {"deadline": "10s"}
        path = place.policy(POLICY)
        place.url = server.url
        self.observer = self.opened(place, "c", path)
        place.url = server.url_at(proxy.port)
        self.worker = self.opened(place, language, path)
        self.client = server.client()

    def opened(self, place: Place, language: str, path: str) -> Worker:
        """Without a heartbeat: nothing but what is asked for goes over the connection."""
        worker = place.worker(language)
        worker.must(f"open {place.url} {path} manual")
        worker.must("gate g project=acme")
        return worker

    def scripts(self) -> int:
        return count_of(self.client, "evalsha")

    def use(self) -> Use:
        limits = self.observer.must("explain g").json["limits"]
        used = {limit["limit"]: limit["used"] for limit in limits}
        return Use(used["tokens"], used["calls"], used["parallel"], self.scripts())

    def difference(self, before: Use) -> Use:
        """What came since. The observer, too, calls scripts: it is asked outside of the count."""
        scripts = self.scripts()
        return self.use()._replace(scripts=scripts).more_than(before)

    def acquired(self) -> str:
        """A permit; a connection that is about to end may be met before."""
        found: list[Answer] = []

        def is_admitted() -> bool:
            found.append(self.worker.must(f"acquire g {COST}"))
            return found[-1].is_admitted

        wait_until(is_admitted, 10)
        return found[-1].permit


def count_of(client: Client, command: str) -> int:
    for line in client("INFO", "commandstats").decode().splitlines():
        if line.startswith(f"cmdstat_{command}:calls="):
            return int(line.split("=")[1].split(",")[0])
    return 0


def replies(suite: Suite, language: str) -> None:
    with Server() as server, Proxy(server.port) as proxy, Place() as place:
        cutting = Cutting(place, server, proxy, language)
        wrong: list[Any] = []
        outcomes: dict[str, int] = {}
        for count in range(MOST_BYTES):
            cutting.worker.must(f"complete {cutting.acquired()}")
            before = cutting.use()
            proxy.cut_next(count)
            answer = cutting.worker.must(f"acquire g {COST}")
            outcome = "admitted" if answer.is_admitted else answer.words[0]
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            found = cutting.difference(before)
            if found != Use(COST, 1, 1, 1):
                wrong.append((count, outcome, found))
            if answer.is_admitted:
                break
        suite.check(
            f"{language}: a charge counts once, at whichever byte its reply ends",
            not wrong and set(outcomes) == {"store_unavailable", "admitted"}, wrong[:5] or outcomes)

        wrong, outcomes = [], {}
        for count in range(MOST_BYTES):
            permit = cutting.acquired()
            before = cutting.use()
            proxy.cut_next(count)
            status = cutting.worker.must(f"complete {permit} {USED}").rest
            outcomes[status] = outcomes.get(status, 0) + 1
            found = cutting.difference(before)
            again = cutting.worker.must(f"complete {permit} {USED}").rest
            if found != Use(USED - COST, 0, -1, 1) or again != "400":
                wrong.append((count, status, again, found))
            if status == "0":
                break
        suite.check(
            f"{language}: a settlement is booked once, at whichever byte its reply ends",
            not wrong and set(outcomes) == {UNAVAILABLE, "0"}, wrong[:5] or outcomes)


def asking(suite: Suite, language: str) -> None:
    """What the server has not got whole it never runs."""
    with Server() as server, Proxy(server.port) as proxy, Place() as place:
        cutting = Cutting(place, server, proxy, language)
        wrong: list[Any] = []
        lost = 0
        for count in range(0, MOST_BYTES, 1 if IS_SOAK else 23):
            cutting.worker.must(f"complete {cutting.acquired()}")
            before = cutting.use()
            proxy.cut_asking(count)
            answer = cutting.worker.must(f"acquire g {COST}")
            found = cutting.difference(before)
            is_whole = found == Use(COST, 1, 1, 1)
            if answer.words[0] != "store_unavailable" or not (is_whole or found == Use(0, 0, 0, 0)):
                wrong.append((count, answer, found))
            lost += 1
            if is_whole:
                break
        suite.check(f"{language}: a call that is cut short is charged once or not at all",
                    not wrong and lost > 5, wrong[:5] or f"{lost} places")


def spoiled(suite: Suite, language: str) -> None:
    """A reply that is none, in the middle of work."""
    with Server() as server, Proxy(server.port) as proxy, Place() as place:
        cutting = Cutting(place, server, proxy, language)
        unnamed: list[Any] = []
        names: dict[str, int] = {}
        for reply in SPOILED:
            cutting.worker.must(f"complete {cutting.acquired()}")
            proxy.spoil_next(reply)
            answer = cutting.worker.ask(f"acquire g {COST}")
            name = answer.error or answer.words[0]
            names[name] = names.get(name, 0) + 1
            if name not in ("store_unavailable", "store_corrupted"):
                unnamed.append((reply, answer))
        suite.check(f"{language}: whatever comes for a reply has a name", not unnamed,
                    unnamed or names)


def run(suite: Suite) -> None:
    for language in LANGUAGES if IS_SOAK else ("c",):
        suite.run(f"cuts: replies, {language}", replies, language)
        suite.run(f"cuts: asking, {language}", asking, language)
    for language in LANGUAGES:
        suite.run(f"cuts: spoiled replies, {language}", spoiled, language)
