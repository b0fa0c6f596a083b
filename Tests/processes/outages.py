"""A server that goes away, forgets, stops, or is slow, under three processes at work: no limit is
exceeded, every outcome has a name, and everything comes back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import drivelog as d
import oracle
from drivelog import DriveLog
from harness import IS_SOAK, LANGUAGES, Place, Suite, Worker, wait_until
from proxies import Proxy
from servers import Server

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
WINDOW_NS = (500 if IS_SOAK else 200) * MILLISECOND
LIMIT = 3_000  # input tokens in a window
RATE, BURST = 500, 40  # calls
SLOTS = 5
LEASE_SECONDS = 1.0
PAUSE_SECONDS = 20.0 if IS_SOAK else 1.0
TIMES = 10 if IS_SOAK else 1
OUTAGES = 2 if IS_SOAK else 1
DEADLINE_NS = 50 * MILLISECOND
SLACK_NS = 50 * MILLISECOND
"""For a caller that the system lets wait for a processor; looked at in the soak alone, where one call in
a thousand may wait longer, up to a second."""
BACK_SECONDS = 30.0
"""Until somebody is admitted again: a lease, a window, and the longest pause of the circuit (5 s)."""
LEASE_EXPIRED, UNAVAILABLE = 402, 601
END_STATUSES = {0, LEASE_EXPIRED, UNAVAILABLE}


def policy(per: str = "project") -> dict[str, object]:
    return {
        "name": "outages", "match": {per: "*"}, "per": [per],
        "limits": [
            {"name": "tpm", "count": "input_tokens", "limit": LIMIT,
             "window": f"{WINDOW_NS // MILLISECOND}ms"},
            {"name": "pace", "count": "requests", "rate": f"{RATE}/s", "burst": BURST},
            {"name": "parallel", "count": "concurrency", "limit": SLOTS, "lease": "1s"},
        ],
    }


class Stage:
    """A server, workers in three languages that load one gate of it, and what they log."""

    def __init__(self, server: Server, place: Place, port: int, **settings: str) -> None:
        client = server.client()
        client("FLUSHALL")
        client.close()
        self.server, self.place = server, place
        place.url = server.url_at(port)
        place.settings = settings
        self.policy = place.policy(policy())
        self.workers = [place.opened(name, self.policy, "g project=acme") for name in LANGUAGES]
        self.files = [self.descriptors(worker) for worker in self.workers]
        self.logs = []
        for number, worker in enumerate(self.workers):
            log = DriveLog.make(
                f"{place.folder}/log-{number}", capacity=2_000_000 if IS_SOAK else 200_000,
                seed=17 + number, for_ns=3_600 * SECOND, hold_ns=MILLISECOND, poll_ns=MILLISECOND,
                most=2, largest=50, every=1,
            )
            self.logs.append(log)
            worker.send(f"drive g {log.path}")
        self.admits()

    @staticmethod
    def descriptors(worker: Worker) -> int:
        return len(os.listdir(f"/proc/{worker.pid}/fd"))

    def admits(self, more: int = 20) -> float:
        """Waits until each process was admitted so many times more; the seconds."""
        before = [log[d.ADMITTED] for log in self.logs]
        return wait_until(
            lambda: all(log[d.ADMITTED] >= n + more for log, n in zip(self.logs, before)),
            BACK_SECONDS)

    def refuses(self, more: int = 5) -> None:
        """Waits until each process was refused so many times more."""
        before = [log[d.REFUSED] for log in self.logs]
        wait_until(
            lambda: all(log[d.REFUSED] >= n + more for log, n in zip(self.logs, before)),
            BACK_SECONDS)

    def stop(self) -> None:
        """Lets two windows pass with everybody at work, and ends the load."""
        time.sleep(2 * WINDOW_NS / SECOND)
        for log in self.logs:
            log.stop()
        for worker in self.workers:
            answer = worker.answer()
            assert answer.kind == "ok", answer

    def events(self) -> list[set[str]]:
        return [{event["kind"] for event in worker.must("events").json} for worker in self.workers]


class Fault(NamedTuple):
    """What is done to a server under load, and what has to be told of it."""

    name: str
    strike: Callable[[Stage, Optional[Proxy]], None]
    events: frozenset[str] = frozenset()
    settings: dict[str, str] = {}
    by_proxy: bool = False
    begins_anew: bool = False
    """What is counted begins anew with the fault, and the limits with it."""


def run_fault(suite: Suite, fault: Fault) -> None:
    with Server() as server, Proxy(server.port) as proxy, Place() as place:
        port = proxy.port if fault.by_proxy else server.port
        stage = Stage(server, place, port, **fault.settings)
        strikes: list[tuple[int, int]] = []
        slowest = 0.0
        for _ in range(OUTAGES if fault.events == OUTAGE else TIMES):
            begun = time.time_ns()
            fault.strike(stage, proxy)
            strikes.append((begun, time.time_ns()))
            slowest = max(slowest, stage.admits())
        stage.stop()
        suite.check(f"{fault.name}: everybody is admitted again", True, f"{slowest:.1f} s")
        check_limits(suite, fault, stage, strikes)
        check_outcomes(suite, fault, stage)
        told = stage.events()
        # A loss is told by who finds it; the others find it noted.
        is_told = all(fault.events & OUTAGE <= kinds for kinds in told) and any(
            fault.events <= kinds for kinds in told)
        suite.check(f"{fault.name}: it is told of", is_told, "" if is_told else told)
        check_leaks(suite, fault.name, stage)


def check_limits(
    suite: Suite, fault: Fault, stage: Stage, strikes: list[tuple[int, int]]
) -> None:
    """By the decisions' own instants, which are the server's, over the fault."""
    run = oracle.read(stage.logs)
    run = run._replace(attempts=[a for a in run.attempts if a.is_admitted])
    parts = lives(run, strikes) if fault.begins_anew else [run]
    most = max(oracle.fullest_window(part, WINDOW_NS) for part in parts)
    suite.check(f"{fault.name}: at most the limit in every window", most <= LIMIT,
                f"{most} of {LIMIT}")
    level = max(oracle.highest_level(ones(part), RATE) for part in parts)
    suite.check(f"{fault.name}: at most burst and rate over every span", level <= BURST,
                f"{level:.3f} of {BURST}")
    if not fault.begins_anew:
        most = oracle.most_at_once(run.held)
        suite.check(f"{fault.name}: never above the concurrency limit", most <= SLOTS,
                    f"{most} of {SLOTS}")


def lives(run: oracle.Run, strikes: list[tuple[int, int]]) -> list[oracle.Run]:
    """The runs between losses, each counted anew. When within a strike the counters went is not known:
    as late as the run before allows, so that the one behind has least."""

    def part(start: int, end: int) -> oracle.Run:
        return run._replace(attempts=[a for a in run.attempts if start <= a.at < end])

    found = []
    start = 0
    for begun, done in strikes:
        inside = [a.at for a in run.attempts if begun <= a.at <= done]
        ends = sorted({begun, done, *inside}, reverse=True)
        end = next((end for end in ends if is_within(part(start, end))), begun)
        found.append(part(start, end))
        start = end
    return [*found, part(start, 2**63)]


def is_within(run: oracle.Run) -> bool:
    return (oracle.fullest_window(run, WINDOW_NS) <= LIMIT
            and oracle.highest_level(ones(run), RATE) <= BURST)


def ones(run: oracle.Run) -> oracle.Run:
    """Each admission as one call, whatever its tokens."""
    return run._replace(attempts=[a._replace(cost=1, units=1) for a in run.attempts])


def check_outcomes(suite: Suite, fault: Fault, stage: Stage) -> None:
    names: dict[str, int] = {}
    unnamed = 0
    spans: list[int] = []
    waits = 0
    for log in stage.logs:
        failed_ends = 0
        for record in log.records():
            spans.append(record.returned - record.called)
            if record.kind == d.END:
                unnamed += record.outcome not in END_STATUSES
                failed_ends += record.outcome not in (0, LEASE_EXPIRED)
                name = f"ended {record.outcome}"
            elif record.outcome == d.IS_ADMITTED:
                name = "admitted"
            else:
                name = d.REASONS[record.permit]
                is_alone = name == "store_unavailable"
                waits += is_alone and record.returned - record.called > DEADLINE_NS * 4 // 5
            names[name] = names.get(name, 0) + 1
        # The other errors are those of acquiring, which has none here.
        if log[d.ERRORS] != failed_ends:
            names[f"error {log[d.LAST_ERROR]}"] = log[d.ERRORS] - failed_ends
            unnamed += 1
        unnamed += log[d.WRITTEN] > log[d.CAPACITY]
    suite.check(f"{fault.name}: every outcome has its name", unnamed == 0,
                ", ".join(f"{name} {count}" for name, count in sorted(names.items())))
    if fault.events == OUTAGE:
        # Three that open the circuit, and then one now and then.
        most = int(len(stage.logs) * OUTAGES * (4 + 8 * PAUSE_SECONDS))
        suite.check(f"{fault.name}: few calls wait in vain", waits <= most, f"{waits} of {most} at most")
    is_timed = IS_SOAK and "deadline" not in fault.settings
    bound, most = (DEADLINE_NS + SLACK_NS, SECOND) if is_timed else (20 * SECOND, 20 * SECOND)
    spans.sort()
    longest, late = spans[-1], spans[-1 - len(spans) // 1_000]
    suite.check(f"{fault.name}: every call ends in its time", longest <= most and late <= bound,
                f"longest {longest / MILLISECOND:.1f} ms, of a thousand {late / MILLISECOND:.1f}")


def check_leaks(suite: Suite, name: str, stage: Stage) -> None:
    """Slots come back with their leases at the latest, keys expire, connections are closed."""
    observer = stage.place.opened("c", stage.policy, "g project=acme")

    def held() -> Any:
        answer = observer.ask("explain g")
        if answer.error:
            return 1
        return next(limit["used"] for limit in answer.json["limits"] if limit["limit"] == "parallel")

    wait_until(lambda: held() == 0, BACK_SECONDS, pace_seconds=0.02)
    suite.check(f"{name}: every slot is back", True)
    more = [stage.descriptors(w) - n for w, n in zip(stage.workers, stage.files)]
    suite.check(f"{name}: no process keeps a descriptor more", max(more) <= 0, more)
    for worker in [*stage.workers, observer]:
        worker.quit()
    client = stage.server.client()
    without = [key for key in client.keys() if client("PTTL", key) < 0]
    suite.check(f"{name}: every key expires", not without, without or "")

    def connections() -> int:
        lines = client("CLIENT", "LIST").splitlines()
        return sum(b"name=admission" in line for line in lines)

    try:
        wait_until(lambda: connections() == 0, 5)
        left = 0
    except TimeoutError:
        left = connections()
    suite.check(f"{name}: no connection is left", left == 0, left or "")
    client.close()


# What is done to a server.


def kill(stage: Stage, _: Optional[Proxy]) -> None:
    """Killed, away for a while, and back with nothing."""
    stage.server.kill()
    stage.refuses()
    if not stage.server.start(stage.server.port):
        raise RuntimeError("redis-server does not start again")


def flush_all(stage: Stage, _: Optional[Proxy]) -> None:
    ask(stage, "FLUSHALL")


def flush_scripts(stage: Stage, _: Optional[Proxy]) -> None:
    ask(stage, "SCRIPT", "FLUSH")


def pause_clients(stage: Stage, _: Optional[Proxy]) -> None:
    ask(stage, "CLIENT", "PAUSE", int(PAUSE_SECONDS * 1000), "ALL")
    time.sleep(PAUSE_SECONDS)


def stop_process(stage: Stage, _: Optional[Proxy]) -> None:
    stage.server.signal(signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)
    stage.server.signal(signal.SIGCONT)


def slow_down(stage: Stage, proxy: Optional[Proxy]) -> None:
    """A reply takes six times a call's deadline."""
    assert proxy is not None
    proxy.delay_seconds = 0.3
    time.sleep(PAUSE_SECONDS)
    proxy.delay_seconds = 0.0


def ask(stage: Stage, *words: Any) -> None:
    client = stage.server.client()
    client(*words)
    client.close()


OUTAGE = frozenset({"store_lost", "store_back"})
LOSS = frozenset({"state_lost"})
PATIENT = {"deadline": "10s"}
FAULTS = (
    Fault("killed, hold", kill, OUTAGE | LOSS, {"on_loss": "hold"}),
    Fault("killed, reset", kill, OUTAGE | LOSS, {"on_loss": "reset"}, begins_anew=True),
    Fault("FLUSHALL, hold", flush_all, LOSS, {"on_loss": "hold", **PATIENT}),
    Fault("FLUSHALL, reset", flush_all, LOSS, {"on_loss": "reset", **PATIENT}, begins_anew=True),
    Fault("SCRIPT FLUSH", flush_scripts, settings=PATIENT),
    Fault("CLIENT PAUSE", pause_clients, OUTAGE),
    Fault("SIGSTOP", stop_process, OUTAGE),
    Fault("300 ms slow", slow_down, OUTAGE, by_proxy=True),
)


def holds_everything(suite: Suite) -> None:
    """After a loss a window of a year counts as full, for who saw the counters and who is new."""
    for on_loss in ("hold", "reset"):
        with Server() as server, Place(url=server.url) as place:
            place.settings = {"on_loss": on_loss, **PATIENT}
            path = place.policy({
                "name": "year", "match": {"project": "*"}, "per": ["project"],
                "limits": [
                    {"name": "quota", "count": "requests", "limit": 20, "window": "year"},
                    {"name": "parallel", "count": "concurrency", "limit": 20, "lease": "1h"},
                ],
            })
            workers = [place.opened(name, path, "g project=acme") for name in LANGUAGES]
            for worker in workers:
                worker.must(f"complete {worker.must('acquire g 0').permit}")
            server.restart()
            answers = []
            for worker in [*workers, *(place.opened(n, path, "g project=acme") for n in LANGUAGES)]:
                # The first call finds that the connection is gone.
                wait_until(lambda: "outage" not in worker.must("acquire g 0").words, BACK_SECONDS)
                answers.append(worker.must("acquire g 0").kind)
            wanted = {"rejected"} if on_loss == "hold" else {"admitted"}
            suite.check(f"killed, {on_loss}: a year's window and an hour's leases as declared",
                        set(answers) == wanted, answers)


def run(suite: Suite) -> None:
    for fault in FAULTS:
        suite.run(f"outages: {fault.name}", run_fault, fault)
    suite.run("outages: what is held after a loss", holds_everything)
