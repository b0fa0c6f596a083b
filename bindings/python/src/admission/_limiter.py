"""The front door: policies on a store."""

from __future__ import annotations

import ctypes
import json
from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Callable, Optional, Union, cast

from . import _bindings as c
from . import _siblings
from ._call import MAX_POOLED, Call, pointer
from ._errors import AdmissionError, ArgumentError, ArgumentTypeError, Status
from ._gate import Gate
from ._policy import PolicySource, policy_json, watched_path

_CLOCKS = {"system": 0, "manual": 1}
_HEARTBEATS = {"automatic": 0, "manual": 1}


class Limiter:
    """Policies on a store: where gates come from.

        with Limiter("policy.json") as limiter:
            gate = limiter.gate(project="acme", model="gemini-2.5-flash")

    Any thread may use it. A forked child goes on with its parent's limiter, and both together stay
    below the limits; a spawned process opens its own, which for ``memory:`` counts by itself and
    warns about that. It can't be sent to another process.
    """

    def __init__(
        self,
        policy: PolicySource,
        store: Optional[str] = None,
        *,
        clock: str = "system",
        start_unix_ns: int = 0,
        permit_capacity: int = 0,
        key_capacity: int = 0,
        heartbeat: str = "automatic",
    ) -> None:
        """Loads the policy and opens the store.

        ``policy``: a mapping, JSON text, or a path (an ``os.PathLike``, or text that ends in
        ``.json``, ``.yaml`` or ``.yml``; YAML needs PyYAML). A JSON file is watched: an edit is in
        force within a second, a broken one changes nothing and leaves an event. A pipe
        (``/dev/stdin``) is read once. ``store``: its
        URL, ``memory:`` or ``file:/path``, the quota of all processes that open that file; None
        takes the environment's ``ADMISSION_STORE``, then ``memory:``. ``clock``: ``system``, or ``manual``,
        which starts at ``start_unix_ns`` and stands still until ``advance`` moves it.
        ``permit_capacity`` and ``key_capacity``: permits open and limit keys at once; 0 takes the
        library's defaults (65,536 and 1,048,576). ``heartbeat``: ``automatic``, or ``manual``
        where the caller renews each permit. Raises ``AdmissionError``.
        """
        self._closed = False
        self._free: deque[Call] = deque(maxlen=MAX_POOLED)  # the newest are kept
        # Read here too where the library will: the errors are the same for every source.
        document = policy_json(policy)
        path = watched_path(policy)
        options = c.Options(
            struct_size=ctypes.sizeof(c.Options),
            clock=_choice("clock", clock, _CLOCKS),
            policy_json=None if path is not None else document,
            policy_path=path,
            store_url=None if store is None else c.text("store", store),
            start_unix_ns=c.int64("start_unix_ns", start_unix_ns),
            permit_capacity=c.int64("permit_capacity", permit_capacity),
            key_capacity=c.int64("key_capacity", key_capacity),
            heartbeat=_choice("heartbeat", heartbeat, _HEARTBEATS),
        )
        handle = ctypes.c_void_p()
        c.check(c.limiter_open(ctypes.byref(options), ctypes.byref(handle)))
        self._sibling_marks = _siblings.Marks()
        self._argument = pointer(handle.value or 0)
        if clock == "system":
            snapshot = self.snapshot()
            if str(snapshot.get("store", "")).startswith("memory:"):
                self._sibling_marks.set(str(snapshot.get("policy_hash", "")))

    def gate(
        self,
        attributes: Union[Mapping[str, str], Iterable[tuple[str, str]]] = (),
        /,
        **named: str,
    ) -> Gate:
        """The gate for a set of attributes: ``gate(project="acme")``, and
        ``gate({"user-id": "7"})`` where a name is no identifier. Names and values are text; nothing
        is converted.

        Finds policies and keys: do it once for each set, not for each call. Raises
        ``ArgumentError``: an attribute that a policy's ``per`` needs is missing, one is there
        twice, or one is no text.
        """
        if isinstance(attributes, (str, bytes)):
            raise ArgumentTypeError(
                Status.INVALID_ATTRIBUTE, f"attributes are {attributes!r}: a mapping is needed"
            )
        pairs = list(attributes.items() if isinstance(attributes, Mapping) else attributes)
        pairs += named.items()
        array = (c.Attribute * len(pairs))(
            *(
                c.Attribute(
                    c.text("an attribute's name", name, Status.INVALID_ATTRIBUTE),
                    c.text(f"the attribute {name!r}", value, Status.INVALID_ATTRIBUTE),
                )
                for name, value in pairs
            )
        )
        handle = ctypes.c_void_p()
        self._check(c.gate_open(self._argument, array, len(pairs), ctypes.byref(handle)))
        return Gate(self, handle.value or 0)

    def reload(self, policy: PolicySource) -> None:
        """Replaces the policies. Counters of unchanged limits keep what was used; gates and
        permits go on. A document that is refused (``PolicyError``) changes nothing."""
        self._check(c.limiter_reload(self._argument, policy_json(policy)))

    def advance(self, nanoseconds: int) -> None:
        """Manual clock: moves both times forward, by 0 or more."""
        self._check(c.limiter_advance(self._argument, c.int64("nanoseconds", nanoseconds)))

    def set_time(self, unix_ns: int) -> None:
        """Manual clock: sets the wall time alone, forward or back, in nanoseconds of Unix time."""
        self._check(c.limiter_set_time(self._argument, c.int64("unix_ns", unix_ns)))

    def reclaim(self) -> int:
        """Gives back the space of keys that are as good as never used; returns how many."""
        reclaimed = ctypes.c_size_t()
        self._check(c.limiter_reclaim(self._argument, ctypes.byref(reclaimed)))
        return reclaimed.value

    def snapshot(self) -> dict[str, Any]:
        """What the limiter holds at the moment: keys, open permits, rejections, the clock."""
        return cast("dict[str, Any]", json.loads(self._text(c.limiter_snapshot)))

    def metrics(self) -> str:
        """The same figures as Prometheus text."""
        return self._text(c.limiter_metrics)

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """What an operator should know, oldest first: broken policy files, reclaimed leases, …

        Each has ``sequence``, ``kind``, ``unix_ns``, ``pid`` (another process' where the store is
        shared) and ``text``; ``admission.h`` lists the kinds. ``after``: the ``sequence`` seen last. The ring is bounded: a gap in the sequence means
        that older events were overwritten.
        """
        if not 0 <= c.int64("after", after):
            raise ArgumentError(
                Status.INVALID_ARGUMENT, f"after is {after}: 0 or more is needed"
            )
        cursor = ctypes.c_uint64(after)
        text = self._text(c.limiter_events_read, ctypes.byref(cursor))
        return cast("list[dict[str, Any]]", json.loads(text))

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called on this object."""
        return self._closed

    def close(self) -> None:
        """Refuses new work from now on; open permits can still be ended. Twice is fine."""
        if not self._closed:
            self._closed = True
            self._sibling_marks.clear()
            c.limiter_close(self._argument)

    def __enter__(self) -> Limiter:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self, limiter_close: Callable[..., int] = c.limiter_close) -> None:
        # At the interpreter's end modules may be empty already, hence the default argument.
        if not self._closed and hasattr(self, "_argument"):
            self._closed = True
            self._sibling_marks.clear()
            limiter_close(self._argument)

    def __reduce__(self) -> Any:
        raise TypeError("a Limiter can't be pickled: open one in each process, or fork")

    def __repr__(self) -> str:
        return f"<Limiter {'closed' if self._closed else 'open'}>"

    def _check(self, status: int) -> None:
        # With its last gate gone a closed limiter's handle is unknown to the library.
        if self._closed and status == Status.INVALID_HANDLE:
            raise AdmissionError(Status.CLOSED, "the limiter was closed")
        c.check(status)

    def _text(self, function: Callable[..., int], *arguments: Any) -> str:
        try:
            return c.read_text(function, self._argument, *arguments)
        except AdmissionError as failure:
            self._check(failure.code)
            raise


def _choice(name: str, value: str, choices: Mapping[str, int]) -> int:
    if not isinstance(value, str):
        raise ArgumentTypeError(Status.INVALID_ARGUMENT, f"{name} is {value!r}: text is needed")
    if value not in choices:
        accepted = " or ".join(repr(choice) for choice in choices)
        raise ArgumentError(Status.INVALID_ARGUMENT, f"{name} is {value!r}: {accepted} is needed")
    return choices[value]
