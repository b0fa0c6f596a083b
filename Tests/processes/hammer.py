"""Processes in three languages on one gate: never above a limit, close to it, and fair. Eight share a
file; four share a server, where ``remote.py`` calls this."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import drivelog as d
import oracle
from drivelog import DriveLog
from harness import IS_SOAK, Place, Suite, Worker

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
WINDOW_NS = 500 * MILLISECOND if IS_SOAK else 200 * MILLISECOND
WINDOW = f"{WINDOW_NS // MILLISECOND}ms"
EIGHT = ("c", "swift", "python", "c", "swift", "python", "c", "swift")
FOUR = ("c", "swift", "python", "c")
LEAST_GRANTS = 0.05
LARGEST_STEADY_SPREAD_NS = MILLISECOND
SEED = 20_260_115


class Ground(NamedTuple):
    """Where they meet, and how much of a limit they have to use."""

    title: str = ""
    place: Callable[[], Place] = Place
    languages: Sequence[str] = EIGHT
    rolling_share: float = 0.98
    other_share: float = 0.995
    divisor: int = 1
    """Limits are so much smaller where a decision takes longer."""


FILES = Ground()


class Load(NamedTuple):
    """What the workers are to do: parameters of drivelog.h."""

    for_ns: int
    hold_ns: int
    poll_ns: int
    largest: int
    ramp_ns: int = 0
    ramp_hold_ns: int = 0
    mixed_ends: int = 0
    most: int = 1
    every: int = 1
    capacity: int = 400_000


def everything(kind: dict[str, Any]) -> dict[str, Any]:
    """A policy with the limit under test and three that never bind."""
    return {
        "name": "hammer",
        "match": {"project": "*"},
        "per": ["project"],
        "limits": [
            kind,
            {"name": "calls", "count": "requests", "rate": "1000000/s", "burst": 1_000_000},
            {"name": "year", "count": "requests", "limit": 10**12, "window": "year"},
            {"name": "parallel", "count": "concurrency", "limit": 64, "lease": "30s"},
        ],
    }


def opened(place: Place, policy: str, languages: Sequence[str]) -> list[Worker]:
    """Workers with the store and the gate ``g`` open, started side by side."""
    workers = [place.worker(language) for language in languages]
    for worker in workers:
        worker.send(f"open {place.url} {policy}")
    for worker in workers:
        answer = worker.answer()
        assert answer.kind == "ok", answer
        worker.must("gate g project=acme")
    return workers


class Races(NamedTuple):
    """How often the processes met, as the store counted."""

    retries: int
    rollbacks: int
    turns_helped: int


def hammer(
    place: Place, policy: str, languages: Sequence[str], load: Load
) -> tuple[list[DriveLog], Races]:
    """Loads one gate from a process for each language; their logs, complete."""
    workers = opened(place, policy, languages)
    logs = []
    for number, worker in enumerate(workers):
        path = f"{place.folder}/log-{number}"
        parameters = {**load._asdict(), "seed": SEED + 7919 * number}
        logs.append(DriveLog.make(path, **parameters))
        worker.send(f"drive g {path}")
    for worker in workers:
        answer = worker.answer(load.for_ns / SECOND + 60)
        assert answer.kind == "ok", answer
    snapshot = workers[0].must("snapshot").json
    races = Races(*(snapshot[name] for name in Races._fields))
    print(
        f"   {len(workers)} processes: {sum(log[d.ADMITTED] for log in logs)} admitted,"
        f" {sum(log[d.REFUSED] for log in logs)} refused; swaps retried {races.retries},"
        f" rolled back {races.rollbacks}, turns helped {races.turns_helped}"
    )
    for worker in workers:
        worker.quit()
    return logs, races


def common_checks(suite: Suite, name: str, run: oracle.Run, logs: list[DriveLog]) -> None:
    """What holds whatever the limit is."""
    errors = [(log[d.ERRORS], log[d.LAST_ERROR]) for log in logs if log[d.ERRORS]]
    suite.check(f"{name}: no decision failed", not errors, errors or "")
    alone = sum(
        record.kind == d.DECISION and record.outcome != d.IS_ADMITTED
        and d.REASONS[record.permit] == "store_unavailable"
        for log in logs for record in log.records()
    )
    suite.check(f"{name}: no decision was made without the store", alone == 0, alone or "")
    lost = [log for log in logs if log[d.WRITTEN] > log[d.CAPACITY]]
    suite.check(f"{name}: every decision is in the log", not lost)
    most = oracle.most_at_once(run.held)
    suite.check(f"{name}: never above the concurrency limit", most <= 64, f"{most} of 64")
    spread = oracle.steady_spread_ns(run)
    suite.check(
        f"{name}: steady time is one for all processes",
        spread <= LARGEST_STEADY_SPREAD_NS, f"{spread} ns apart",
    )


def fairness(suite: Suite, name: str, run: oracle.Run) -> None:
    total = sum(run.grants)
    least = min(run.grants) / max(1, total)
    suite.check(
        f"{name}: every process gets at least {LEAST_GRANTS:.0%} of the grants",
        least >= LEAST_GRANTS, f"least {least:.1%} of {total}; {run.grants}",
    )


def shares(suite: Suite, name: str, share: float, least: float) -> None:
    suite.check(
        f"{name}: at least {least:.1%} of what a greedy oracle admits", share >= least, f"{share:.3%}"
    )


def rolling(suite: Suite, ground: Ground = FILES) -> None:
    """A rolling window that binds. The first window is filled evenly (the ramp), as in a service
    that has been running for a while."""
    name, limit, turns = ground.title + "rolling", 18_000 // ground.divisor, 24
    load = Load(
        for_ns=WINDOW_NS * turns, hold_ns=MILLISECOND // 2, poll_ns=MILLISECOND, largest=100,
        ramp_ns=WINDOW_NS, ramp_hold_ns=WINDOW_NS * len(ground.languages) * 50 // limit,
    )
    with ground.place() as place:
        policy = place.policy(everything(
            {"name": "tpm", "count": "input_tokens", "limit": limit, "window": WINDOW}))
        logs, _ = hammer(place, policy, ground.languages, load)
        run = oracle.read(logs)
        most = oracle.fullest_window(run, WINDOW_NS)
        suite.check(
            f"{name}: at most the limit in every {WINDOW}", most <= limit, f"{most} of {limit}")
        greedy = oracle.Greedy(run.attempts).rolling(limit, WINDOW_NS)
        shares(suite, name, oracle.share(run, greedy, WINDOW_NS), ground.rolling_share)
        fairness(suite, name, run)
        common_checks(suite, name, run, logs)


def bucket(suite: Suite, ground: Ground = FILES) -> None:
    name = ground.title + "bucket"
    rate, burst = 40_000 // ground.divisor, 4_000
    load = Load(
        for_ns=WINDOW_NS * (20 if IS_SOAK else 10), hold_ns=MILLISECOND // 2,
        poll_ns=MILLISECOND, largest=100,
    )
    with ground.place() as place:
        policy = place.policy(everything(
            {"name": "pace", "count": "input_tokens", "rate": f"{rate}/s", "burst": burst}))
        logs, _ = hammer(place, policy, ground.languages, load)
        run = oracle.read(logs)
        level = oracle.highest_level(run, rate)
        suite.check(
            f"{name}: over every span at most burst + rate x span", level <= burst,
            f"{level:.6f} of {burst}",
        )
        greedy = oracle.Greedy(run.attempts).bucket(rate, burst)
        shares(suite, name, oracle.share(run, greedy, 0), ground.other_share)
        fairness(suite, name, run)
        common_checks(suite, name, run, logs)


def calendar(suite: Suite, ground: Ground = FILES) -> None:
    """In the soak, minutes: two boundaries are crossed. In the short form, a year that is spent."""
    name, limit = ground.title + "calendar", 40_000 // ground.divisor
    unit, for_ns, poll_ns = ("minute", 125 * SECOND, 10 * MILLISECOND) if IS_SOAK else (
        "year", 1_200 * MILLISECOND, MILLISECOND)
    load = Load(for_ns=for_ns, hold_ns=MILLISECOND // 2, poll_ns=poll_ns, largest=100)
    minute = 60 * SECOND
    begun = time.time_ns() // minute * minute
    boundaries = [begun + minute * n for n in range(5)] if IS_SOAK else []
    with ground.place() as place:
        policy = place.policy(everything(
            {"name": "quota", "count": "input_tokens", "limit": limit, "window": unit}))
        logs, _ = hammer(place, policy, ground.languages, load)
        run = oracle.read(logs)
        most = oracle.fullest_calendar_window(run, boundaries)
        suite.check(f"{name}: at most the limit in every {unit}", most <= limit,
                    f"{most} of {limit}")
        greedy = oracle.Greedy(run.attempts).calendar(limit, boundaries)
        shares(suite, name, oracle.share(run, greedy, 0), ground.other_share)
        fairness(suite, name, run)
        common_checks(suite, name, run, logs)


def flat_out(suite: Suite, ground: Ground = FILES) -> None:
    """No pause anywhere, several permits held, ends of every kind: the races of a contended gate."""
    name, limit = ground.title + "flat out", 200_000 // ground.divisor
    load = Load(
        for_ns=WINDOW_NS * (20 if IS_SOAK else 8), hold_ns=0, poll_ns=0, largest=100, mixed_ends=1,
        most=12, every=0, capacity=2_000_000 if IS_SOAK else 600_000,
    )
    with ground.place() as place:
        policy = place.policy(everything(
            {"name": "tpm", "count": "input_tokens", "limit": limit, "window": WINDOW,
             "guard": "10ms"}))
        logs, races = hammer(place, policy, ground.languages, load)
        run = oracle.read(logs)
        most = oracle.fullest_window(run, WINDOW_NS + 10 * MILLISECOND)
        suite.check(
            f"{name}: at most the limit in every {WINDOW} and guard", most <= limit,
            f"{most} of {limit}",
        )
        if ground is FILES:  # a server's script is not raced with
            suite.check(f"{name}: the processes met on the same words",
                        races.retries > 0 and races.rollbacks > 0, f"{races}")
        common_checks(suite, name, run, logs)


def two(suite: Suite, ground: Ground = FILES) -> None:
    """A quick and a slow process share a bucket and a window."""
    for languages in (("c", "python"), ("swift", "c")):
        name = ground.title + " and ".join(languages)
        limit = 9_000 // ground.divisor
        load = Load(
            for_ns=WINDOW_NS * 6, hold_ns=MILLISECOND, poll_ns=MILLISECOND, largest=100)
        with ground.place() as place:
            policy = place.policy(everything(
                {"name": "tpm", "count": "input_tokens", "limit": limit, "window": WINDOW}))
            logs, _ = hammer(place, policy, languages, load)
            run = oracle.read(logs)
            most = oracle.fullest_window(run, WINDOW_NS)
            suite.check(f"{name}: at most the limit in every {WINDOW}", most <= limit,
                        f"{most} of {limit}")
            fairness(suite, name, run)
            common_checks(suite, name, run, logs)


def planted(suite: Suite) -> None:
    """Processes that each count by themselves exceed every limit: the oracle must see it."""
    limit, rate, burst = 1_000, 2_000, 500
    load = Load(for_ns=4 * WINDOW_NS, hold_ns=MILLISECOND, poll_ns=MILLISECOND, largest=100)
    with Place() as place:
        place.url = "memory:"
        for name, kind, exceeds in (
            ("window", {"limit": limit, "window": WINDOW},
             lambda run: oracle.fullest_window(run, WINDOW_NS) > limit),
            ("rate", {"rate": f"{rate}/s", "burst": burst},
             lambda run: oracle.highest_level(run, rate) > burst),
            ("quota", {"limit": limit, "window": "year"},
             lambda run: oracle.fullest_calendar_window(run, []) > limit),
            ("concurrency limit", None, lambda run: oracle.most_at_once(run.held) > 1),
        ):
            limits = everything({"name": name, "count": "input_tokens", **(kind or {})})
            if kind is None:
                limits["limits"] = [{**limits["limits"][-1], "limit": 1}]
            logs, _ = hammer(place, place.policy(limits), ("c", "c", "swift"), load)
            suite.check(f"planted: the oracle sees a {name} that is exceeded",
                        exceeds(oracle.read(logs)))


def run(suite: Suite) -> None:
    suite.run("hammer: planted faults", planted)
    for name, part in (("rolling", rolling), ("bucket", bucket), ("calendar", calendar),
                       ("flat out", flat_out), ("two processes", two)):
        suite.run(f"hammer: {name}", part)
