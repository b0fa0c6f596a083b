"""The wire format of docs/redis-protocol.md, written down once more, apart from the library.

Amounts go in, decisions come out; what the scripts make of them is judged elsewhere.
"""

from __future__ import annotations

import hashlib
import random
import re
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Optional, Sequence, Union

import redis

SCRIPTS = Path(__file__).parents[2] / "Sources/AdmissionRedis/Scripts"
PARTS = ("words", "scope", "loss", "merge", "windows", "answers")
ROLLING, CALENDAR, CONCURRENCY, BUCKET = 1, 2, 3, 4
MOST = 2**53 - 1
HOLD, RESET = 1, 2
BRIEF, REJECTED, RARE_NEEDED, NEWER, ADMITTED, TAKEN = 1, 2, 3, 4, 5, 6
UNKNOWN = 1
LOST, STEPPED_BACK, CELLS_LOST, LEASES_LOST, CALENDAR_DAMAGED = 1, 2, 4, 8, 16


def text(
    name: str, clock: str = "manual", quick: bool = True, shape: Sequence[Sequence[int]] = (),
) -> str:
    """A script as it is sent: its parts one behind the other. ``shape``: each scope's numbers of
    rolling, calendar, concurrency and bucket limits."""
    def part(file: str) -> str:
        return (SCRIPTS / f"{file}.lua").read_text()

    if name not in ("acquire", "settle"):
        return part(f"clock-{clock}") + "\n" + part(name)
    parts = [f"local scope_count = {len(shape)}", part(f"clock-{clock}")]
    if quick:
        parts.append(Unrolled(shape).text(part(f"{name}-quick")))
    return "\n".join([*parts, *map(part, PARTS), part(name)])


class Unrolled:
    """The quick parts for one shape: docs/redis-protocol.md, *How a script is composed*."""

    KINDS = {"rolling": 0, "calendar": 1, "concurrency": 2, "bucket": 3}

    def __init__(self, shape: Sequence[Sequence[int]]) -> None:
        #: For each scope what its tokens stand for, and its limits: kind and tokens.
        self.scopes: list[tuple[dict[str, object], list[tuple[str, dict[str, object]]]]] = []
        state, number = 2, 0
        for s, (rolling, calendar, concurrency, bucket) in enumerate(shape, 1):
            kinds = [k for k, n in zip(self.KINDS, (rolling, calendar, concurrency, bucket)) for _ in range(n)]
            head = 7 + 3 * (len(kinds) - bucket) + 2 * bucket
            plan = 2 * (len(kinds) - bucket) + 3 * bucket
            acquire = len(kinds) + bucket
            tokens = {
                "ASK_AT": s + 1, "STATE_KEY": state, "HEAD_END": 8 * head - 1, "HEAD_BYTES": 8 * head,
                "ACQUIRE_FORMAT": "<" + "L" * (plan + acquire),
                "SETTLE_FORMAT": "<" + "L" * (plan + 3 * (rolling + calendar) + concurrency + 4 * bucket),
                "HEAD_FORMAT": "<" + "L" * (head - 1), "BRIEF_FORMAT": "<" + "L" * (head - 4), "_S": f"_{s}",
            }
            limits = []
            for i, kind in enumerate(kinds):
                number += 1
                limits.append((kind, {
                    **tokens, "_I": f"_{number}", "CELLS_AT": 8 * (9 + plan + acquire + i) + 1,
                    "LEASE_KEY": state + (rolling > 0) + 1 + i - rolling - calendar,
                }))
            self.scopes.append((tokens, limits))
            state += 1 + (rolling > 0) + concurrency

    def text(self, template: str) -> str:
        return "\n".join(self._lines(template.split("\n"), self.scopes, {})) + "\n"

    def _each(self, kind, scopes):
        if kind == "scope":
            return [(tokens, [(tokens, limits)]) for tokens, limits in scopes]
        return [(tokens, []) for _, limits in scopes for k, tokens in limits if kind in (k, "limit")]

    def _lines(self, lines, scopes, tokens):
        lines = list(lines)
        while lines:
            line = lines.pop(0)
            block = re.fullmatch(r" *--\[\[each (\w+)\]\]", line)
            if not block:
                def every(match):
                    return "".join(self._filled(match[2], found) for found, _ in self._each(match[1], scopes))

                yield self._filled(re.sub(r"--\[\[(\w+):(.*?)\]\]", every, line), tokens)
                continue
            body, depth = [], 1
            while depth:
                body.append(lines.pop(0))
                depth += body[-1].strip().startswith("--[[each ") - (body[-1].strip() == "--[[end]]")
            for found, inner in self._each(block[1], scopes):
                yield from self._lines(body[:-1], inner or scopes, found)

    def _filled(self, text, tokens):
        for token, value in tokens.items():
            text = text.replace(token, str(value))
        return text


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def numbers(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 8}Q", data))


def pair(span: Fraction) -> tuple[int, int]:
    """Whole microseconds, and the rest in parts of the span's own denominator."""
    return span.numerator // span.denominator, span.numerator % span.denominator


@dataclass
class Limit:
    kind: int
    name: str
    limit: int  # or the burst
    span_us: int = 0  # rolling: window and guard; concurrency: lease; calendar: guard
    unit_us: int = 0  # calendar: length of its windows, counted from 0
    interval: Fraction = Fraction(0)  # bucket: us a unit
    cells: int = 60
    stamp: int = 1

    @property
    def identity(self) -> bytes:
        shape = f"{self.span_us}" if self.kind == ROLLING else f"{self.unit_us}"
        return f"{self.name} {self.kind} {shape}".encode()

    @property
    def id(self) -> int:
        return int.from_bytes(hashlib.sha256(self.identity).digest()[:8], "little") % 2**53

    @property
    def cell_us(self) -> int:
        return -(-self.span_us // self.cells)

    @property
    def parts(self) -> int:
        return self.interval.denominator

    def pair_of(self, amount: int) -> tuple[int, int]:
        us, rest = divmod(self.interval.numerator * amount, self.parts)
        return us, rest

    @property
    def lifetime_us(self) -> int:
        if self.kind == ROLLING:
            return (self.cells + 1) * self.cell_us
        if self.kind == CALENDAR:
            return self.unit_us + self.span_us
        if self.kind == CONCURRENCY:
            return self.span_us
        return self.pair_of(self.limit)[0] + 1

    @property
    def parameters(self) -> tuple[int, int, int, int, int]:
        if self.kind == ROLLING:
            return self.limit, self.cell_us, self.cells, 0, 0
        if self.kind in (CALENDAR, CONCURRENCY):
            return self.limit, self.span_us, 0, 0, 0
        return (*self.pair_of(self.limit), self.parts, *self.pair_of(1))

    @property
    def descriptor(self) -> bytes:
        return words(self.id, self.kind, self.stamp, *self.parameters)

    @property
    def plan(self) -> tuple[int, ...]:
        return self.parameters[: 3 if self.kind == BUCKET else 2]

    def window(self, wall: int) -> tuple[int, int, int]:
        start = wall - wall % self.unit_us
        return start, start + self.unit_us, start + 2 * self.unit_us


@dataclass
class Scope:
    """The limits of one policy for one key; kept in the order of the wire: by kind."""

    name: str
    limits: list[Limit]
    tag: str = "admission"
    birth: int = 0
    seen: int = 0

    def __post_init__(self) -> None:
        self.limits.sort(key=lambda limit: limit.kind)

    @property
    def prefix(self) -> str:
        return f"admission:{{{self.tag}}}:{self.name}"

    @property
    def counts(self) -> list[int]:
        return [sum(limit.kind == kind for limit in self.limits) for kind in (1, 2, 3, 4)]

    @property
    def keys(self) -> list[str]:
        rolling, _, concurrency, _ = self.counts
        return (
            [f"{self.prefix}:s"]
            + ([f"{self.prefix}:c"] if rolling else [])
            + [f"{self.prefix}:l{i}" for i in range(concurrency)]
        )

    @property
    def descriptors(self) -> bytes:
        return b"".join(limit.descriptor for limit in self.limits)

    @property
    def layout(self) -> int:
        return int.from_bytes(hashlib.sha256(self.descriptors).digest()[:8], "little") % 2**53

    @property
    def lifetime_us(self) -> int:
        return max(1_000_000, *(limit.lifetime_us for limit in self.limits))

    @property
    def head_words(self) -> int:
        return 7 + sum(2 if limit.kind == BUCKET else 3 for limit in self.limits)

    def arguments(self, birth: int, ask: list[int]) -> list[bytes]:
        plan = [word for limit in self.limits for word in limit.plan]
        ask_at = 10 + len(plan)
        cells = [limit.cells for limit in self.limits if limit.kind == ROLLING]
        return [words(self.layout, birth, self.lifetime_us, *self.counts, ask_at, 8 * self.head_words,
                      *plan, *ask, *cells)]

    def rare(self, wall: int) -> bytes:
        windows = (limit.window(wall) for limit in self.limits if limit.kind == CALENDAR)
        return self.descriptors + words(*(word for window in windows for word in window))


@dataclass
class View:
    """One limit in a reply, behind the decision."""

    limit: Limit
    fields: tuple[int, ...]
    fits_at: int = 0  # 0 fits, 1 unknown, else the instant

    @property
    def place(self) -> int:
        return self.fields[0]

    def used(self) -> int:
        if self.limit.kind == ROLLING:
            return self.fields[1] + self.fields[2]
        return self.fields[2] if self.limit.kind == CALENDAR else self.fields[0]


@dataclass
class Reply:
    outcome: int
    now: int
    wall: int
    events: int
    raw: bytes = b""
    births: list[int] = field(default_factory=list)
    views: list[list[View]] = field(default_factory=list)
    lived: list[int] = field(default_factory=list)

    @property
    def is_admitted(self) -> bool:
        return self.outcome in (BRIEF, ADMITTED)

    def view(self, name: str) -> View:
        return next(v for views in self.views for v in views if v.limit.name == name)


class Client:
    """One process: it remembers what it saw of each scope and of the shard."""

    def __init__(
        self, server: "redis.Redis", clock: str = "manual", on_loss: int = HOLD, seed: int = 0,
        quick: bool = True, lean: bool = True,
    ) -> None:
        self.server = server
        self.clock = clock
        self.on_loss = on_loss
        self.lean = lean  # the rare part goes only where it is asked for
        self.random = random.Random(seed)
        self.known: dict[str, tuple[int, int, int]] = {}  # scope: birth, seen, lifetime
        self.shard = (0, 0, 0)  # birth, seen, until
        self.quick = quick
        self.shas: dict[object, str] = {}
        self.shape: tuple[tuple[int, ...], ...] = ()
        self.steady = self.wall = 0

    # The manual clock.
    def set_clock(self, steady_us: int, wall_us: Optional[int] = None) -> None:
        self.steady = steady_us
        self.wall = steady_us if wall_us is None else wall_us
        self.server.hset(
            "admission:clock",
            mapping={"steady": str(self.steady * 1000), "wall": str(self.wall * 1000)},
        )
        self.server.expire("admission:clock", 86_400)

    def advance(self, us: int) -> None:
        self.set_clock(self.steady + us, self.wall + us)

    def run(self, name: str, keys: Sequence[str], arguments: Sequence[Union[bytes, str]]) -> object:
        return self.server.evalsha(self.sha(name), len(keys), *keys, *arguments)

    def sha(self, name: str) -> str:
        key = (name, self.shape) if name in ("acquire", "settle") else name
        if key not in self.shas:
            self.shas[key] = self.server.script_load(text(name, self.clock, self.quick, self.shape))
        return self.shas[key]

    def _shard_key(self, scopes: Sequence[Scope]) -> str:
        return f"admission:{{{scopes[0].tag}}}:shard"

    def _rare(self, scopes: Sequence[Scope], wall: int, births: Sequence[int] = ()) -> bytes:
        known = [self.known.get(scope.name, (0, 0, 0)) for scope in scopes]
        seen = [k[1] if not births or k[0] == births[i] else 0 for i, k in enumerate(known)]
        call = words(self.on_loss, self.random.randrange(1, 2**53), *self.shard, *seen)
        return call + b"".join(scope.rare(wall) for scope in scopes)

    def _send(
        self, name: str, scopes: Sequence[Scope], member: bytes, arguments: list[bytes],
        births: Sequence[int] = (), windows_at: Optional[int] = None,
    ) -> Reply:
        self.shape = tuple(tuple(scope.counts) for scope in scopes)
        keys = [self._shard_key(scopes)] + [key for scope in scopes for key in scope.keys]
        wall = self.wall if windows_at is None else windows_at
        rare = b"" if self.lean and windows_at is None else self._rare(scopes, wall, births)
        reply = self._reply(scopes, self.run(name, keys, [member, *arguments, *([rare] if rare else [])]))
        if reply.outcome == RARE_NEEDED and windows_at is None:
            rare = self._rare(scopes, reply.wall, births)
            reply = self._reply(scopes, self.run(name, keys, [member, *arguments, *([rare] if rare else [])]))
        return reply

    def acquire(
        self, scopes: Sequence[Scope], costs: dict[str, int], member: bytes = b"",
        windows_at: Optional[int] = None,
    ) -> Reply:
        arguments: list[bytes] = []
        for scope in scopes:
            birth = self.known.get(scope.name, (0, 0, 0))[0]
            ask: list[int] = []
            for limit in scope.limits:
                cost = costs.get(limit.name, 1)
                ask += limit.pair_of(cost) if limit.kind == BUCKET else [cost]
            arguments += scope.arguments(birth, ask)
        member = member or self.random.randbytes(6)
        return self._send("acquire", scopes, member, arguments, windows_at=windows_at)

    def settle(
        self, scopes: Sequence[Scope], charge: Reply, changes: dict[str, tuple[int, int]],
        frees: Sequence[str] = (), member: bytes = b"",
    ) -> Reply:
        """``changes``: by limit, units given back and units more; ``charge``: what they are of."""
        arguments: list[bytes] = []
        for s, scope in enumerate(scopes):
            birth = charge.births[s]
            ask: list[int] = []
            for i, limit in enumerate(scope.limits):
                back, more = changes.get(limit.name, (0, 0))
                if limit.kind == BUCKET:
                    ask += [*limit.pair_of(back), *limit.pair_of(more)]
                elif limit.kind == CONCURRENCY:
                    ask.append(int(limit.name in frees))
                else:
                    ask += [back, more, charge.views[s][i].place]
            arguments += scope.arguments(birth, ask)
        return self._send("settle", scopes, member, arguments, charge.births)

    def _reply(self, scopes: Sequence[Scope], raw: object) -> Reply:
        assert isinstance(raw, bytes)
        outcome, now, wall, events = (numbers(raw[:24]) + [0])[:4] if raw[0] == BRIEF else numbers(raw[:32])
        reply = Reply(outcome, now, wall, events, raw=raw)
        if outcome not in (BRIEF, ADMITTED, REJECTED):
            return reply
        rest = numbers(raw if outcome == BRIEF else raw[32:])
        for scope in scopes:
            if outcome == BRIEF:
                birth, shard, kept = self.known[scope.name][0], self.shard[0], 1
                rest = [shard, birth, scope.layout, kept, *rest]
            head, rest = rest[: scope.head_words], rest[scope.head_words :]
            shard, birth, layout, kept = head[:4]
            assert layout == scope.layout and head[4] == 1
            reply.births.append(birth)
            views, at = [], 7
            for limit in scope.limits:
                size = 2 if limit.kind == BUCKET else 3
                views.append(View(limit, tuple(head[at : at + size])))
                at += size
            reply.views.append(views)
            if kept:  # else it is not stored
                self.known[scope.name] = (birth, reply.now, scope.lifetime_us)
                until = max(self.shard[2] if self.shard[0] == shard else 0,
                            reply.now + scope.lifetime_us)
                self.shard = (shard, reply.now, until)
        if reply.outcome == REJECTED:
            for view, fits_at in zip([v for views in reply.views for v in views], rest):
                view.fits_at = fits_at
        reply.lived = rest
        return reply
