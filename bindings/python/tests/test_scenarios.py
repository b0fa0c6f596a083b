"""Runs the shared table of scenarios, ``Tests/scenarios/core.cases``, through the Python package.

``Tests/scenarios/README.md`` describes the table. It is found through ``ADMISSION_SCENARIOS``, or
in the checkout that this file belongs to.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import pytest

import admission

Value = Union[int, str, None]

UNITS = {"": 1, "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
WORDS = {"never": -1, "unknown": -2}
DEFAULT_START = "1767225600s"
MASK = 2**64 - 1


def table_path() -> Path:
    default = Path(__file__).resolve().parents[3] / "Tests" / "scenarios" / "core.cases"
    return Path(os.environ.get("ADMISSION_SCENARIOS", default))


class Case:
    def __init__(self, words: str) -> None:
        self.id, self.title = words.split(" ", 1)
        self.start = DEFAULT_START
        self.openings: List[str] = []
        self.steps: List[str] = []


def document(text: str) -> str:
    """The policy document that ``limits L`` or ``policy J`` stands for."""
    kind, body = text.split(" ", 1)
    if kind == "policy":
        return body
    assert kind == "limits", f"neither limits nor policy: {text}"
    return '{"admission":1,"policies":[{"name":"p","limits":[' + body + "]}]}"


def read_table(path: Path) -> Tuple[List[str], List[Case]]:
    ids: List[str] = []
    cases: List[Case] = []
    repeated: Optional[Tuple[int, List[str]]] = None
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        if word == "ids":
            ids = rest.split()
        elif word == "case":
            cases.append(Case(rest))
        elif word == "start":
            cases[-1].start = rest
        elif word in ("limits", "policy"):
            cases[-1].openings.append(line)
        elif word == "repeat":
            repeated = (int(rest), [])
        elif word == "end" and repeated is not None:
            cases[-1].steps += repeated[1] * repeated[0]
            repeated = None
        else:
            (repeated[1] if repeated is not None else cases[-1].steps).append(line)
    return ids, cases


def number(text: str) -> int:
    """A count or a duration in nanoseconds."""
    if text in WORDS:
        return WORDS[text]
    digits = text.rstrip("nsumh")
    return int(digits) * UNITS[text[len(digits) :]]


def wait_in_log(log: List[Tuple[int, int]], now: int, n: int, limit: int, window: int) -> int:
    """How long a plain log of (instant, units) would let n wait."""
    used = 0
    for instant, units in reversed(log):
        used += units
        if used > limit - n:
            return max(0, instant + window - now)
    return 0


class Outcome:
    """What a decision was, with the values that the table can name."""

    def __init__(self, decision: admission.Decision) -> None:
        self.ok = bool(decision.admitted)
        self.retry = int(decision.retry_after_ns)
        self.decided_at = int(decision.decided_at_ns)
        self.word = "ok" if self.ok else "never" if self.retry == -1 else "no"
        self.values: Dict[str, Value] = {
            "retry": self.retry,
            "remaining": decision.remaining,
            "capacity": decision.limit,
            "asked": decision.asked,
            "limit": decision.limit_name,
            "policy": decision.policy_name,
            "reason": admission.Reason(decision.reason).name.lower(),
            "start": decision.predicted_start_unix_ns,
        }


class Run:
    """One case on one limiter."""

    def __init__(self, case: Case, opening: Optional[str]) -> None:
        self.line = ""
        self.compared = 0
        self.elapsed = 0
        self.zero: Optional[int] = None  # the steady instant at which the case began
        self.start = number(case.start)
        self.gates: Dict[str, Any] = {}
        self.permits: Dict[str, Any] = {}
        self.held: List[Any] = []
        self.log: Dict[str, List[Tuple[int, int]]] = {}
        self.limiter: Any = self.open(document(opening)) if opening is not None else None

    def open(self, policy: str) -> Any:
        return admission.Limiter(
            policy, store="memory:", clock="manual", start_unix_ns=self.start
        )

    def close(self) -> None:
        for permit in self.held + list(self.permits.values()):
            try:
                permit.drop()
            except admission.AdmissionError:
                pass
        if self.limiter is not None:
            self.limiter.close()

    def step(self, line: str) -> None:
        self.line = line
        if line.startswith("in "):
            languages, line = line[3:].split(": ", 1)
            if "python" not in languages.split(","):
                return
        left, arrow, right = line.rpartition(" -> ")
        if not arrow:
            left, right = line, ""
        word, _, rest = left.partition(" ")
        action: Optional[Callable[[str, List[str]], None]] = getattr(self, "do_" + word, None)
        assert action is not None, f"unknown step: {line}"
        before = self.compared
        action(rest, right.split())
        assert bool(right) == (self.compared > before), f"nothing was compared: {line}"

    # Comparing

    def same(self, actual: object, expected: object) -> None:
        self.compared += 1
        assert actual == expected, f"{self.line}: expected {expected!r}, got {actual!r}"

    def expect(self, values: Dict[str, Value], words: List[str]) -> None:
        for word in words:
            self.compared += 1
            operator = next(o for o in (">=", "<=", "=") if o in word)
            key, _, text = word.partition(operator)
            assert key in values, f"{self.line}: unknown key {key}"
            actual = values[key]
            if isinstance(actual, int):
                wanted = number(text) if text != "none" else None
                holds = wanted is not None and {
                    "=": actual == wanted, ">=": actual >= wanted, "<=": actual <= wanted
                }[operator]
            elif key == "text":
                holds = actual is not None and text in actual
            else:
                holds = operator == "=" and text == ("none" if actual is None else actual)
            assert holds, f"{self.line}: {key} is {actual}"

    def expect_decision(self, outcome: Outcome, words: List[str]) -> None:
        self.same(outcome.word, words[0])
        if outcome.ok:
            self.expect(outcome.values, ["retry=0", "reason=none"])
        elif words[0] == "never":
            self.expect(outcome.values, ["reason=exceeds_limit"])
        self.expect(outcome.values, words[1:])

    # Asking

    def amounts(self, words: List[str]) -> Dict[str, int]:
        pairs = (word.split("=", 1) for word in words)
        return {("requests" if key == "n" else key): number(text) for key, text in pairs}

    def ask(self, gate: str, cost: Dict[str, int], permit: Optional[str] = None) -> Outcome:
        if permit is None:
            outcome = Outcome(self.gates[gate].try_charge(**cost))
        else:
            decision = self.gates[gate].try_acquire(**cost)
            outcome = Outcome(decision)
            if outcome.ok:
                self.permits[permit] = decision.permit
        if self.zero is None:
            self.zero = outcome.decided_at - self.elapsed
        assert outcome.decided_at == self.zero + self.elapsed, f"{self.line}: another instant"
        if outcome.ok:
            units = cost.get("requests", 1)
            self.log.setdefault(gate, []).append((outcome.decided_at, units))
        return outcome

    def decide(self, gate: str, words: List[str], right: List[str], permit: Optional[str]) -> None:
        try:
            outcome = self.ask(gate, self.amounts(words), permit)
        except admission.AdmissionError as error:
            self.same(f"status={int(error.code)}", " ".join(right))
            return
        self.expect_decision(outcome, right)

    def advance(self, nanoseconds: int) -> None:
        self.limiter.advance(nanoseconds)
        self.elapsed += nanoseconds

    def edge(self, ask: Callable[[], Outcome]) -> Outcome:
        """Refused now, refused 1 ns before the reported wait, admitted at it."""
        first = ask()
        assert not first.ok and first.retry > 0, f"{self.line}: not refused for a time"
        self.advance(first.retry - 1)
        last = ask()
        assert not last.ok and last.retry == 1, f"{self.line}: {last.retry} left 1 ns before"
        self.advance(1)
        assert ask().ok, f"{self.line}: refused at the reported instant"
        return first

    # Steps

    def do_gate(self, rest: str, right: List[str]) -> None:
        name, *words = rest.split()
        attributes = dict(word.split("=", 1) for word in words)
        self.gates[name] = self.limiter.gate(**attributes)

    def do_at(self, rest: str, right: List[str]) -> None:
        self.advance(number(rest) - self.elapsed)

    def do_after(self, rest: str, right: List[str]) -> None:
        if not right:
            self.advance(number(rest))
            return
        with pytest.raises(admission.AdmissionError) as raised:
            self.limiter.advance(number(rest))
        self.same(f"status={int(raised.value.code)}", " ".join(right))

    def do_wall(self, rest: str, right: List[str]) -> None:
        self.limiter.set_time(number(rest))

    def do_try(self, rest: str, right: List[str]) -> None:
        gate, *words = rest.split()
        self.decide(gate, words, right, None)

    def do_acquire(self, rest: str, right: List[str]) -> None:
        gate, permit, *words = rest.split()
        self.decide(gate, words, right, permit)

    def settle(self, action: Callable[[], object], right: List[str]) -> None:
        words = {400: "already_completed", 401: "not_owner", 402: "lease_expired"}
        try:
            result = action()
            word = "settled" if result in (None, admission.Status.OK) else "lease_expired"
        except admission.AdmissionError as error:
            word = words.get(int(error.code), f"status={int(error.code)}")
        self.same(word, " ".join(right))

    def usage(self, words: List[str]) -> Dict[str, Any]:
        usage: Dict[str, Any] = dict(self.amounts(words))
        if "exact" in usage:
            usage["exact"] = bool(usage["exact"])
        return usage

    def do_complete(self, rest: str, right: List[str]) -> None:
        name, *words = rest.split()
        self.settle(lambda: self.permits[name].complete(**self.usage(words)), right)

    def do_add(self, rest: str, right: List[str]) -> None:
        name, *words = rest.split()
        self.settle(lambda: self.permits[name].add(**self.usage(words)), right)

    def do_abandon(self, rest: str, right: List[str]) -> None:
        self.settle(lambda: self.permits[rest].abandon(), right)

    def do_drop(self, rest: str, right: List[str]) -> None:
        self.settle(lambda: self.permits[rest].drop(), right)

    def do_peek(self, rest: str, right: List[str]) -> None:
        gate, *words = rest.split()
        names = [word[len("limit=") :] for word in words if word.startswith("limit=")]
        cost = self.amounts([word for word in words if not word.startswith("limit=")])
        explained = self.gates[gate].explain(**cost)["limits"]
        limit = next(each for each in explained if not names or each["limit"] == names[0])
        self.expect(
            {
                "remaining": limit["remaining"],
                "used": limit["used"],
                "capacity": limit["capacity"],
                "full_again": limit["full_again_in_ns"],
                "reset": limit["reset_unix_ns"],
                "retry": limit["retry_after_ns"],
                "outcome": limit["outcome"],
                "reason": limit["reason"],
                "binds": int(limit["binds"]),
            },
            right,
        )

    def do_reclaim(self, rest: str, right: List[str]) -> None:
        reclaimed = self.limiter.reclaim()
        self.expect({"reclaimed": reclaimed, "keys": self.limiter.snapshot()["keys"]}, right)

    def do_keys(self, rest: str, right: List[str]) -> None:
        self.expect({"keys": self.limiter.snapshot()["keys"]}, right)

    def do_reload(self, rest: str, right: List[str]) -> None:
        self.limiter.reload(document(rest))
        self.same("loaded", " ".join(right))

    def do_refused(self, rest: str, right: List[str]) -> None:
        with pytest.raises(admission.AdmissionError) as raised:
            self.open(document(rest)).close()
        self.expect({"status": int(raised.value.code), "text": raised.value.message}, right)

    def do_run(self, rest: str, right: List[str]) -> None:
        gate, count, every, *words = rest.split()
        asks, step = number(count[len("count=") :]), number(every[len("every=") :])
        admitted = 0
        for index in range(asks):
            if index > 0:
                self.advance(step)
            admitted += self.ask(gate, self.amounts(words)).ok
        self.expect({"ok": admitted}, right)

    def do_greedy(self, rest: str, right: List[str]) -> None:
        gate, until, *words = rest.split()
        end = number(until[len("until=") :])
        admitted = 0
        while True:
            outcome = self.ask(gate, self.amounts(words))
            admitted += outcome.ok
            if not outcome.ok:
                assert outcome.retry > 0, f"{self.line}: no wait to advance by"
                if self.elapsed + outcome.retry > end:
                    break
                self.advance(outcome.retry)
        self.expect({"ok": admitted}, right)

    def do_threads(self, rest: str, right: List[str]) -> None:
        count, times, verb, name, *words = rest.split()
        assert verb in ("try", "acquire"), f"{self.line}: unknown verb"
        gate, cost, asks = self.gates[name], self.amounts(words), number(times[len("times=") :])
        barrier = threading.Barrier(int(count))
        admitted = [0] * int(count)
        taken: List[List[Any]] = [[] for _ in range(int(count))]

        def work(index: int) -> None:
            barrier.wait()
            for _ in range(asks):
                if verb == "try":
                    admitted[index] += gate.try_charge(**cost).admitted
                    continue
                decision = gate.try_acquire(**cost)
                if decision.admitted:
                    admitted[index] += 1
                    taken[index].append(decision.permit)

        threads = [threading.Thread(target=work, args=(index,)) for index in range(int(count))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.held += [permit for each in taken for permit in each]
        self.expect({"ok": sum(admitted)}, right)

    def do_edge(self, rest: str, right: List[str]) -> None:
        gate, *words = rest.split()
        first = self.edge(lambda: self.ask(gate, self.amounts(words)))
        self.expect(first.values, right)

    def do_log(self, rest: str, right: List[str]) -> None:
        gate, *words = rest.split()
        named = dict(word.split("=", 1) for word in words)
        n, limit, window = (number(named[key]) for key in ("n", "limit", "window"))
        assert self.zero is not None, f"{self.line}: nothing was decided yet"
        now = self.zero + self.elapsed
        self.expect({"wait": wait_in_log(self.log[gate], now, n, limit, window)}, right)

    def do_maxwindow(self, rest: str, right: List[str]) -> None:
        gate, length = rest.split()
        log, window = self.log[gate], number(length)
        most, first, used = 0, 0, 0
        for instant, units in log:
            used += units
            while log[first][0] <= instant - window:
                used -= log[first][1]
                first += 1
            most = max(most, used)
        self.expect({"units": most}, right)

    def do_law(self, rest: str, right: List[str]) -> None:
        kind, *words = rest.split()
        named = dict(word.split("=", 1) for word in words)
        self.law = Law(kind, int(named["seed"]))
        for _ in range(int(named["rounds"])):
            self.law.round(self, int(named["steps"]))
        self.expect({"ok": self.law.admitted, "refused": self.law.refused}, right)


class Law:
    """The law of the table: refused until the reported instant, admitted at it."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.state = kind, seed
        self.admitted = self.refused = 0

    def draw(self, below: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % below

    def limit(self) -> Tuple[str, int, int, int]:
        """The limit's JSON, its capacity, the stride and, for a rolling limit, the window."""
        if self.kind == "bucket":
            units, multiple = 1 + self.draw(1000), 1 + self.draw(100)
            unit, capacity = ("ms", "s", "m", "h")[self.draw(4)], 1 + self.draw(100)
            bound = {"rate": f"{units}/{multiple}{unit}", "burst": capacity}
            stride, window = multiple * UNITS[unit] // units + 1, 0
        else:
            assert self.kind == "rolling", f"unknown law: {self.kind}"
            capacity, multiple = 1 + self.draw(20), 1 + self.draw(60)
            unit = ("ms", "s", "m")[self.draw(3)]
            bound = {"limit": capacity, "window": f"{multiple}{unit}"}
            window = multiple * UNITS[unit]
            stride = window // capacity + 1
        return json.dumps({"name": "law", "count": "requests", **bound}), capacity, stride, window

    def round(self, run: Run, steps: int) -> None:
        text, capacity, stride, window = self.limit()
        run.limiter = run.open(document("limits " + text))
        run.gates["law"] = run.limiter.gate()
        run.elapsed, run.zero = 0, None
        log = run.log["law"] = []
        slack = 61 * -(-window // 60) - window
        for _ in range(steps):
            n = 1 + self.draw(capacity)
            outcome = run.ask("law", {"requests": n})
            if outcome.ok:
                self.admitted += 1
                if self.draw(2) == 1:
                    run.advance(self.draw(stride))
                continue
            self.refused += 1
            where = f"{run.line}: {text} n={n}"
            assert outcome.retry > 0, where
            if window > 0:
                least = wait_in_log(log, outcome.decided_at, n, capacity, window)
                assert least <= outcome.retry <= least + slack, f"{where}: log {least}"
            x = self.draw(outcome.retry)
            run.advance(x)
            again = run.ask("law", {"requests": n})
            assert not again.ok and again.retry == outcome.retry - x, f"{where}: {again.retry}"
            run.advance(outcome.retry - 1 - x)
            run.edge(lambda: run.ask("law", {"requests": n}))
            self.admitted += 1
        run.limiter.close()
        run.limiter = None


IDS, CASES = read_table(table_path())
RAN: List[str] = []


@pytest.fixture(scope="module", autouse=True)
def _print_ids(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    line = "scenarios core (python): " + " ".join(each for each in IDS if each in RAN)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        print(line)
        return
    with capture.global_and_fixture_disabled():
        print("\n" + line)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.id} {case.title}" for case in CASES])
def test_scenario(case: Case) -> None:
    openings: List[Optional[str]] = [*case.openings] or [None]
    for opening in openings:
        run = Run(case, opening)
        try:
            for line in case.steps:
                run.step(line)
        finally:
            run.close()
        assert run.compared > 0, "nothing was compared"
    if case.id not in RAN:
        RAN.append(case.id)


def test_every_listed_id_has_a_case_and_every_case_a_listed_id() -> None:
    assert IDS and len(IDS) == len(set(IDS))
    assert {case.id for case in CASES} == set(IDS)
