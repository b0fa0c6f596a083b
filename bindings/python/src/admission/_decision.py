"""What a limiter answers: decisions, permits, and the exception for who wants one."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from enum import IntEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import _bindings as c
from ._bindings import permit_complete as _permit_complete
from ._call import PERMIT, USAGE_INPUT_TOKENS, USAGE_OUTPUT_TOKENS, Call
from ._errors import AdmissionError, AlreadyCompleted, ArgumentError, ArgumentTypeError, Status

if TYPE_CHECKING:
    from ._gate import Gate

NotSent = Union[type[BaseException], "tuple[type[BaseException], ...]"]

_ADMITTED = 1
_NEVER = -1
_STORE_MODES = {1: "memory", 2: "file", 3: "redis", 4: "outage", 5: "slice"}



class Settlement(IntEnum):
    """How a permit was settled; in every case it has ended, or taken the increment."""

    SETTLED = 0
    """Usage is booked and the concurrency slot is free."""
    LEASE_EXPIRED = 402
    """Usage is booked; the slot had been given up when the lease ran out."""


_SETTLED = Settlement.SETTLED


class Decision:
    """Admitted or rejected, and the limit that this speaks of. True when admitted.

    That limit is the one with the smallest remaining share when admitted, and the one that bound
    when rejected. Where no limit applies the names are None and the numbers 0. Made by a ``Gate``;
    it does not change, whatever happens to its permit or limiter.
    """

    __slots__ = ("_raw", "_gate")
    _raw: bytes  # the C struct, looked into when somebody asks
    _gate: Gate  # keeps the limiter's names alive

    @property
    def _record(self) -> Any:
        return c.Decision.from_buffer_copy(self._raw)

    def __bool__(self) -> bool:
        return self.admitted

    @property
    def admitted(self) -> bool:
        """Whether the call may go now."""
        return bool(self._record.outcome == _ADMITTED)

    @property
    def permit(self) -> Optional[Permit]:
        """The right to make the call; None when rejected or charged without one."""
        return None

    @property
    def reason(self) -> Optional[str]:
        """Why not: ``exceeds_limit``, ``concurrency``, ``exhausted``, ``debt``,
        ``boundary_guard``, ``store_unavailable``, or a later version's; None when admitted."""
        number = self._record.reason
        return c.reason_name(number).decode() if number else None

    @property
    def is_never(self) -> bool:
        """Whether waiting is of no use: the cost is above the limit itself."""
        return bool(self._record.retry_after_ns == _NEVER)

    @property
    def retry_after_ns(self) -> Optional[int]:
        """Nanoseconds from the decision until the same cost fits; 0 when admitted; None when
        that is never or not known (concurrency)."""
        return _known(self._record.retry_after_ns)

    @property
    def retry_after(self) -> Optional[float]:
        """``retry_after_ns`` in seconds, as ``time.sleep`` takes it."""
        return _seconds(self.retry_after_ns)

    @property
    def predicted_start_unix_ns(self) -> Optional[int]:
        """When the call may start, in nanoseconds of Unix time; None: never or not known."""
        return _known(self._record.predicted_start_unix_ns)

    @property
    def predicted_start(self) -> Optional[float]:
        """``predicted_start_unix_ns`` in seconds, as ``time.time`` gives them."""
        return _seconds(self.predicted_start_unix_ns)

    @property
    def decided_at_ns(self) -> int:
        """The decision's instant in steady time, whose zero is the limiter's own."""
        return int(self._record.decided_at_ns)

    @property
    def decided_at_unix_ns(self) -> int:
        """The same instant on the wall clock, in nanoseconds of Unix time."""
        return int(self._record.decided_at_unix_ns)

    @property
    def limit(self) -> int:
        """The most that one request could be admitted with."""
        return int(self._record.limit)

    @property
    def asked(self) -> int:
        """What this cost asks of the limit."""
        return int(self._record.asked)

    @property
    def remaining(self) -> int:
        """What is left after the decision, never below 0."""
        return int(self._record.remaining)

    @property
    def policy_name(self) -> Optional[str]:
        """The policy of the limit; None where no limit applies."""
        return _name(self._record.policy_name)

    @property
    def limit_name(self) -> Optional[str]:
        """The limit's name in its policy; None where no limit applies."""
        return _name(self._record.limit_name)

    @property
    def store_mode(self) -> str:
        """How the store made the decision: ``memory`` or ``file``."""
        mode: int = self._record.store_mode
        return _STORE_MODES.get(mode, f"mode_{mode}")

    def __str__(self) -> str:
        if self.limit_name is None:
            return "admitted: no limit applies" if self else "rejected"
        numbers = f"{self.policy_name}/{self.limit_name}, {self.remaining} of {self.limit} left"
        if self:
            return f"admitted: {numbers}"
        after = self.retry_after
        when = "never" if self.is_never else "unknown" if after is None else f"after {after:g} s"
        return f"rejected: {self.reason}: {numbers}, {self.asked} asked; retry: {when}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} can't be pickled: it belongs to one process")


class Permit(Decision):
    """An admitted decision, and the right to make one call.

    End it once, in the process that acquired it: ``complete``, ``abandon`` or ``drop``. As a
    context manager it is dropped at the end of the block unless it was ended before, or abandoned
    where the block raised one of the ``not_sent`` exceptions that it was acquired with. A permit
    that is let go is dropped. Any thread may end it; the second to try is told
    ``AlreadyCompleted``.
    """

    __slots__ = ("_call", "_not_sent")
    _call: Call  # deleted by whoever ends the permit, which is atomic: the second finds nothing
    _not_sent: NotSent

    @property
    def permit(self) -> Permit:
        """The permit, which is this very object."""
        return self

    def __bool__(self) -> bool:
        return True

    def complete(
        self,
        requests: Optional[int] = None,
        input_tokens: Optional[int] = None,
        output_tokens: Optional[int] = None,
        *,
        exact: bool = True,
        extra: Optional[Mapping[str, int]] = None,
        **counts: int,
    ) -> Settlement:
        """Ends the permit with what the call really used, in all. None counts as charged.

        Less than charged is given back, more is charged now. ``exact=False``: the numbers are a
        lower bound (the stream broke), so nothing is given back. Other counts are keywords, or in
        ``extra`` where a name is no identifier. Raises ``AlreadyCompleted``, ``NotOwner``, and
        ``ArgumentError`` for a number below 0, which leaves the permit open.
        """
        if requests is not None or exact is not True or extra is not None or counts:
            usage, _kept = _usage(requests, input_tokens, output_tokens, exact, extra, counts)
            return self._end(c.permit_complete, ctypes.byref(usage))
        if input_tokens is None:
            input_tokens = -1
        elif type(input_tokens) is not int or input_tokens >> 63:  # below 0, or too large
            input_tokens = _amount("input_tokens", input_tokens)
        if output_tokens is None:
            output_tokens = -1
        elif type(output_tokens) is not int or output_tokens >> 63:  # below 0, or too large
            output_tokens = _amount("output_tokens", output_tokens)
        # From here on as in _end, written out: this is the path of every call.
        try:
            call = self._call
            del self._call
        except AttributeError:
            raise _ended_before() from None
        words = call.words
        words[USAGE_INPUT_TOKENS] = input_tokens
        words[USAGE_OUTPUT_TOKENS] = output_tokens
        status = _permit_complete(call.limiter, call.permit, call.usage)
        if status:
            return self._settled(call, status)
        words[PERMIT] = 0
        self._gate._free.append(call)
        return _SETTLED

    def add(
        self,
        requests: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        extra: Optional[Mapping[str, int]] = None,
        **counts: int,
    ) -> Settlement:
        """Charges an increment while a stream goes; the permit stays open.

        ``complete`` still takes the whole call's usage. Raises as ``complete`` does.
        """
        usage, _kept = _usage(requests, input_tokens, output_tokens, True, extra, counts)
        return self._touch(c.permit_add, ctypes.byref(usage))

    def abandon(self) -> Settlement:
        """Ends the permit: the call was never sent. Everything goes back."""
        return self._end(c.permit_abandon)

    def drop(self) -> Settlement:
        """Ends the permit: what became of the call is not known. Charges stay."""
        return self._end(c.permit_drop)

    def renew(self) -> Settlement:
        """Renews the lease; for a limiter opened with ``heartbeat="manual"``."""
        return self._touch(c.permit_renew)

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if not hasattr(self, "_call"):
            return
        not_sent = getattr(self, "_not_sent", ())
        try:
            if kind is not None and issubclass(kind, not_sent):
                self.abandon()
            else:
                self.drop()
        except AdmissionError:
            pass  # ended meanwhile, or a forked child leaves its parent's block: nothing to drop

    def _end(self, function: Callable[..., int], *usage: Any) -> Settlement:
        try:
            call = self._call
            del self._call
        except AttributeError:
            raise _ended_before() from None
        status = function(call.limiter, call.permit, *usage)
        if status:
            return self._settled(call, status)
        call.words[PERMIT] = 0
        self._gate._free.append(call)
        return _SETTLED

    def _settled(self, call: Call, status: int) -> Settlement:
        """What a status other than 0 means for a permit whose frame was taken from it."""
        if status in (Status.LEASE_EXPIRED, Status.ALREADY_COMPLETED, Status.INVALID_HANDLE):
            call.words[PERMIT] = 0
            if status == Status.LEASE_EXPIRED:
                return Settlement.LEASE_EXPIRED
            raise c.failure(status)
        failure = c.failure(status)
        self._call = call
        raise failure

    def _touch(self, function: Callable[..., int], *usage: Any) -> Settlement:
        """Calls a function that leaves the permit open, with memory of its own: the frame may be
        on its way to the next permit when another thread ends this one."""
        permit = ctypes.c_uint64(self._record.permit)
        status = function(self._gate._limiter_argument, permit, *usage)
        if status == Status.LEASE_EXPIRED:
            return Settlement.LEASE_EXPIRED
        c.check(status)
        return _SETTLED


class Rejected(Exception):
    """Raised by ``Gate.acquire`` where ``try_acquire`` returns a decision that is not admitted."""

    decision: Decision
    """The rejection: reason, limit, and when to come back."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision)
        self.decision = decision

    def __str__(self) -> str:
        return str(self.decision)


def _known(nanoseconds: int) -> Optional[int]:
    return nanoseconds if nanoseconds >= 0 else None


def _seconds(nanoseconds: Optional[int]) -> Optional[float]:
    return None if nanoseconds is None else nanoseconds / 1_000_000_000


def _name(address: int) -> Optional[str]:
    return ctypes.string_at(address).decode("utf-8") if address else None


def _ended_before() -> AlreadyCompleted:
    return AlreadyCompleted(Status.ALREADY_COMPLETED, "the permit was ended before")


def _amount(name: str, value: Any) -> int:
    """One amount of a usage: -1 means "as charged" in C and is an error here."""
    if value is None:
        return -1
    amount = c.int64(name, value)
    if amount < 0:
        raise ArgumentError(Status.NEGATIVE_USAGE, f"{name} is {amount}: 0 or more is needed")
    return amount


def _usage(
    requests: Optional[int],
    input_tokens: Optional[int],
    output_tokens: Optional[int],
    exact: bool,
    extra: Optional[Mapping[str, int]],
    counts: dict[str, int],
) -> tuple[c.Usage, object]:
    """A usage, and what has to stay alive as long as it does."""
    if type(exact) is not bool:
        raise ArgumentTypeError(Status.INVALID_ARGUMENT, f"exact is {exact!r}: a bool is needed")
    array = c.counts(extra, counts)
    for count in array or ():
        _amount(count.name.decode(), count.value)
    usage = c.Usage(
        struct_size=ctypes.sizeof(c.Usage),
        exact=int(exact),
        requests=_amount("requests", requests),
        input_tokens=_amount("input_tokens", input_tokens),
        output_tokens=_amount("output_tokens", output_tokens),
        extra=ctypes.addressof(array) if array else None,
        extra_count=len(array) if array else 0,
    )
    return usage, array
