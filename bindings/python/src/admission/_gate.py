"""What callers acquire from."""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Union, cast

from . import _bindings as c
from ._bindings import try_acquire as _try_acquire
from ._bindings import try_charge as _try_charge
from ._call import COST_INPUT_TOKENS, COST_OUTPUT_TOKENS, PERMIT, Call, pointer
from ._decision import Decision, NotSent, Permit, Rejected
from ._errors import ArgumentError, ArgumentTypeError, Status

if TYPE_CHECKING:
    from ._limiter import Limiter

_ONE = 1  # compared by identity, which is enough: another 1 takes the longer way to the same result
_NONE: NotSent = ()


class Gate:
    """The prepared form of one attribute set. Made by ``Limiter.gate``; make it once and keep it.

    Any thread may use it, a forked child too. It outlives a reload, keeps its limiter alive, and
    raises ``AdmissionError`` ``closed`` once that was closed. It can't be sent to another process.

    Every method takes a cost: ``requests`` (1), ``input_tokens`` and ``output_tokens`` (0), and
    other counts by name as keywords (``images=2``), or in ``extra`` where a name is no identifier
    or the name of another parameter. Amounts are ints from 0 to 2^63 - 1; anything else raises
    ``ArgumentError`` and charges nothing.
    """

    __slots__ = ("_argument", "_limiter_argument", "_free", "_limiter", "__weakref__")

    def __init__(self, limiter: Limiter, handle: int) -> None:
        self._argument = pointer(handle)
        self._limiter_argument = limiter._argument
        self._free = limiter._free
        self._limiter = limiter

    def try_acquire(
        self,
        requests: int = 1,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        not_sent: NotSent = _NONE,
        extra: Optional[Mapping[str, int]] = None,
        **counts: int,
    ) -> Decision:
        """Decides now. Admitted: true, everything is charged, and ``permit`` has to be ended.
        Rejected: false, and nothing is charged.

        ``not_sent``: exceptions that abandon the permit when they leave its ``with`` block,
        because they mean that the call was never made.
        """
        if (
            requests is not _ONE
            or type(input_tokens) is not int
            or type(output_tokens) is not int
            or not_sent is not _NONE
            or extra is not None
            or counts
        ):
            cost = _cost(requests, input_tokens, output_tokens, extra, counts)
            return self._decide(_try_acquire, cost, _checked_not_sent(not_sent))
        # As in _filled_call, written out: this is the path of every call.
        try:
            call = self._free.pop()
        except IndexError:
            call = Call(self._limiter_argument)
        words = call.words
        try:
            words[COST_INPUT_TOKENS] = input_tokens
            words[COST_OUTPUT_TOKENS] = output_tokens
        except OverflowError:
            _cost(requests, input_tokens, output_tokens, extra, counts)  # names the culprit
            raise
        status = _try_acquire(self._argument, call.cost, call.decision)
        if words[PERMIT]:
            permit = Permit()
            permit._raw = call.copy_decision()
            permit._gate = self
            permit._call = call
            return permit
        return self._without_permit(call, status)

    def acquire(
        self,
        requests: int = 1,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        timeout: Union[int, float] = 0,
        not_sent: NotSent = _NONE,
        extra: Optional[Mapping[str, int]] = None,
        **counts: int,
    ) -> Permit:
        """The permit, or raises ``Rejected`` with the decision.

        ``timeout``: seconds to wait for a turn. This version can't wait: where it would have to,
        it raises ``AdmissionError`` ``not_supported`` and charges nothing.

            with gate.acquire(input_tokens=1200) as permit:
                answer = call_the_model()
                permit.complete(input_tokens=answer.input, output_tokens=answer.output)
        """
        if type(timeout) is int and timeout == 0:
            decision = self.try_acquire(
                requests, input_tokens, output_tokens, not_sent=not_sent, extra=extra, **counts
            )
        else:
            wait = ctypes.c_int64(_nanoseconds(timeout))
            cost = _cost(requests, input_tokens, output_tokens, extra, counts)
            decision = self._decide(c.acquire, cost, _checked_not_sent(not_sent), wait)
        if isinstance(decision, Permit):
            return decision
        raise Rejected(decision)

    def try_charge(
        self,
        requests: int = 1,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        extra: Optional[Mapping[str, int]] = None,
        **counts: int,
    ) -> Decision:
        """Decides now and forgets: no permit, nothing to complete; for pure pacing.

        A gate with a concurrency limit raises ``concurrency_needs_permit``.
        """
        if (
            requests is not _ONE
            or type(input_tokens) is not int
            or type(output_tokens) is not int
            or extra is not None
            or counts
        ):
            cost = _cost(requests, input_tokens, output_tokens, extra, counts)
            return self._decide(_try_charge, cost, _NONE)
        call = self._filled_call(input_tokens, output_tokens)
        return self._without_permit(call, _try_charge(self._argument, call.cost, call.decision))

    def explain(
        self,
        requests: int = 1,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        extra: Optional[Mapping[str, int]] = None,
        **counts: int,
    ) -> dict[str, Any]:
        """What each limit holds and would answer to this cost, charging nothing.

        ``limits``: policy, limit, kind, key, used, remaining, when it is full again, and which
        would bind. ``unused``: the limits that nothing ever met, and why.
        """
        cost, _kept = _cost(requests, input_tokens, output_tokens, extra, counts)
        text = c.read_text(c.gate_explain, self._argument, ctypes.byref(cost))
        return cast("dict[str, Any]", json.loads(text))

    def _filled_call(self, input_tokens: int, output_tokens: int) -> Call:
        """A frame with the cost that most calls have: one request, and tokens."""
        try:
            call = self._free.pop()
        except IndexError:
            call = Call(self._limiter_argument)
        words = call.words
        try:
            words[COST_INPUT_TOKENS] = input_tokens
            words[COST_OUTPUT_TOKENS] = output_tokens
        except OverflowError:
            _cost(1, input_tokens, output_tokens, None, {})  # names the culprit
            raise
        return call

    def _decide(
        self,
        function: Callable[..., int],
        cost: tuple[c.Cost, object],
        not_sent: NotSent,
        *timeout: Any,
    ) -> Decision:
        """Decides with a cost of its own memory; only the decision's frame is pooled."""
        try:
            call = self._free.pop()
        except IndexError:
            call = Call(self._limiter_argument)
        status = function(self._argument, ctypes.byref(cost[0]), *timeout, call.decision)
        if not call.words[PERMIT]:
            return self._without_permit(call, status)
        permit = Permit()
        permit._raw = call.copy_decision()
        permit._gate = self
        permit._call = call
        if not_sent:
            permit._not_sent = not_sent
        return permit

    def _without_permit(self, call: Call, status: int) -> Decision:
        """The decision that takes no permit, or the exception; the frame goes back."""
        if status:
            failure = c.failure(status)
            self._free.append(call)
            raise failure
        decision = Decision()
        decision._raw = call.copy_decision()
        decision._gate = self
        self._free.append(call)
        return decision

    def __del__(self, gate_close: Callable[..., int] = c.gate_close) -> None:
        # The limiter may be gone already: then there is nothing left to close.
        argument = getattr(self, "_argument", None)
        if argument is not None:
            gate_close(argument)

    def __reduce__(self) -> Any:
        raise TypeError("a Gate can't be pickled: open a limiter in each process, or fork")


def _cost(
    requests: int,
    input_tokens: int,
    output_tokens: int,
    extra: Optional[Mapping[str, int]],
    counts: dict[str, int],
) -> tuple[c.Cost, object]:
    """A cost, and what has to stay alive as long as it does."""
    array = c.counts(extra, counts)
    cost = c.Cost(
        struct_size=ctypes.sizeof(c.Cost),
        extra_count=len(array) if array else 0,
        requests=c.int64("requests", requests),
        input_tokens=c.int64("input_tokens", input_tokens),
        output_tokens=c.int64("output_tokens", output_tokens),
        extra=ctypes.addressof(array) if array else None,
    )
    return cost, array


def _checked_not_sent(not_sent: NotSent) -> NotSent:
    kinds = not_sent if isinstance(not_sent, tuple) else (not_sent,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ArgumentTypeError(
                Status.INVALID_ARGUMENT, f"not_sent holds {kind!r}: exception classes are needed"
            )
    return kinds


def _nanoseconds(timeout: Union[int, float]) -> int:
    """Seconds as whole nanoseconds; what is beyond 292 years waits that long."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise ArgumentTypeError(
            Status.INVALID_TIMEOUT, f"timeout is {timeout!r}: a number of seconds is needed"
        )
    if math.isnan(timeout) or timeout < 0:
        raise ArgumentError(
            Status.INVALID_TIMEOUT, f"timeout is {timeout!r} s: 0 or more is needed"
        )
    if timeout >= c.INT64_MAX / 1_000_000_000:
        return c.INT64_MAX
    return math.ceil(timeout * 1_000_000_000)
