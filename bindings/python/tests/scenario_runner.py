"""Runs one case of the shared table of scenarios through the ``admission`` package."""

from __future__ import annotations

import itertools
import os
import re
import threading
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import pytest
from scenario_law import Law
from scenario_table import Case, document, number, wait_in_log

import admission

Value = Union[int, str, None]


class Outcome:
    """What a decision was, with the values that the table can name."""

    def __init__(self, decision: admission.Decision, scale: int = 1) -> None:
        unknown = -1 if decision.is_never else -2
        retry, start = decision.retry_after_ns, decision.predicted_start_unix_ns
        self.ok = decision.admitted
        self.retry = unknown if retry is None else retry // scale
        self.decided_at = int(decision.decided_at_ns) // scale
        self.word = "ok" if self.ok else "never" if self.retry == -1 else "no"
        self.values: Dict[str, Value] = {
            "retry": self.retry,
            "remaining": decision.remaining,
            "capacity": decision.limit,
            "asked": decision.asked,
            "limit": decision.limit_name,
            "policy": decision.policy_name,
            "reason": decision.reason or "none",
            "start": unknown if start is None else start,
        }


FILES = itertools.count()


def store_name() -> str:
    if "ADMISSION_TEST_REDIS" in os.environ:
        return "redis"
    return "file" if "ADMISSION_TEST_DIRECTORY" in os.environ else "memory"


def next_store() -> str:
    """``memory:``, a new file of the directory that ``ADMISSION_TEST_DIRECTORY`` names, or a new
    database of the server that ``ADMISSION_TEST_REDIS`` names."""
    if store_name() == "memory":
        return "memory:"
    if store_name() == "redis":
        return f"{os.environ['ADMISSION_TEST_REDIS']}/{next(FILES)}?clock=manual"
    return f"file:{os.environ['ADMISSION_TEST_DIRECTORY']}/python-{next(FILES)}"


class Run:
    """One case on one limiter."""

    def __init__(self, case: Case, opening: Optional[str]) -> None:
        self.line = ""
        self.compared = 0
        self.elapsed = 0
        self.zero: Optional[int] = None  # the steady instant at which the case began
        self.start = number(case.start)
        # Redis keeps whole microseconds: a tick is the least step of its time, and the cells of a
        # rolling limit are rounded up to one each.
        is_rough = store_name() == "redis"
        self.scale = case.scale if is_rough else 1
        self.tick = 1000 if is_rough and self.scale == 1 else 1
        self.rounding = 97_000 if is_rough and self.scale == 1 else 0
        self.gates: Dict[str, Any] = {}
        self.permits: Dict[str, Any] = {}
        self.held: List[Any] = []
        self.log: Dict[str, List[Tuple[int, int]]] = {}
        self.limiter: Any = self.open(document(opening)) if opening is not None else None

    def open(self, policy: str) -> Any:
        if self.scale != 1:
            policy = re.sub(
                r'"([0-9]+/)?([0-9]*)(ms|s|m|h)"',
                lambda m: f'"{m[1] or ""}{int(m[2] or 1) * self.scale}{m[3]}"', policy)
        return admission.Limiter(
            policy, store=next_store(), clock="manual", start_unix_ns=self.start
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
                late = self.rounding if key in ("retry", "full_again") else 0
                holds = wanted is not None and {
                    "=": abs(actual - wanted) <= late, ">=": actual >= wanted, "<=": actual <= wanted
                }[operator]
            elif key == "text":
                holds = actual is not None and text in actual
            else:
                holds = operator == "=" and text == ("none" if actual is None else actual)
            assert holds, f"{self.line}: {key} is {actual}"

    def expect_decision(self, outcome: Outcome, words: List[str]) -> None:
        self.same(outcome.word, " ".join(words[:1]))
        if outcome.ok:
            self.expect(outcome.values, ["retry=0", "reason=none"])
        elif outcome.word == "never":
            self.expect(outcome.values, ["reason=exceeds_limit"])
        self.expect(outcome.values, words[1:])

    # Asking

    def amounts(self, words: List[str]) -> Dict[str, int]:
        pairs = (word.split("=", 1) for word in words)
        return {("requests" if key == "n" else key): number(text) for key, text in pairs}

    def ask(self, gate: str, cost: Dict[str, int], permit: Optional[str] = None) -> Outcome:
        if permit is None:
            outcome = Outcome(self.gates[gate].try_charge(**cost), self.scale)
        else:
            decision = self.gates[gate].try_acquire(**cost)
            outcome = Outcome(decision, self.scale)
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
        self.limiter.advance(nanoseconds * self.scale)
        self.elapsed += nanoseconds

    def edge(self, ask: Callable[[], Outcome]) -> Outcome:
        """Refused now, refused a tick before the reported wait, admitted at it."""
        first = ask()
        assert not first.ok and first.retry > 0, f"{self.line}: not refused for a time"
        self.advance(first.retry - self.tick)
        last = ask()
        assert not last.ok and last.retry == self.tick, f"{self.line}: {last.retry} left a tick before"
        self.advance(self.tick)
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
            self.limiter.advance(number(rest) * self.scale)
        self.same(f"status={int(raised.value.code)}", " ".join(right))

    def do_wall(self, rest: str, right: List[str]) -> None:
        self.limiter.set_time(number(rest))

    def do_try(self, rest: str, right: List[str]) -> None:
        gate, *words = rest.split()
        self.decide(gate, words, right, None)

    def do_acquire(self, rest: str, right: List[str]) -> None:
        gate, permit, *words = rest.split()
        self.decide(gate, words, right, permit)

    def settle(self, action: Callable[[], Any], right: List[str]) -> None:
        words = {400: "already_completed", 401: "not_owner"}
        try:
            word = admission.Settlement(action()).name.lower()
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
        for key in ("full_again_in_ns", "retry_after_ns"):
            limit[key] = limit[key] if limit[key] is None else limit[key] // self.scale
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
            assert admitted < 1_000_000, f"{self.line}: no end in sight"
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
        # A call to a server takes a thousand times one in memory: but in the soak, a million calls are
        # ten thousand there, each of a hundred of its units.
        is_shortened = store_name() == "redis" and asks >= 1_000_000
        divisor = 100 if is_shortened and not os.environ.get("ADMISSION_SOAK") else 1
        asks //= divisor
        cost["requests"] = cost.get("requests", 1) * divisor
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
        self.expect({"ok": sum(admitted) * divisor}, right)

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
