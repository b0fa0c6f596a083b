"""The memory that a decision crosses the boundary in, prepared once and used again."""

from __future__ import annotations

import ctypes
from array import array
from typing import Any, Callable

from ._bindings import Cost, Decision, Usage, permit_drop


class _Frame(ctypes.Structure):
    _fields_ = [("cost", Cost), ("decision", Decision), ("usage", Usage)]


def _word(part: str, field: str) -> int:
    """The index of a field of 64 bits among the frame's words."""
    kind = {"cost": Cost, "decision": Decision, "usage": Usage}[part]
    offset: int = getattr(_Frame, part).offset + getattr(kind, field).offset
    return offset // 8


_SIZE = ctypes.sizeof(_Frame)
COST_REQUESTS = _word("cost", "requests")
COST_INPUT_TOKENS = _word("cost", "input_tokens")
COST_OUTPUT_TOKENS = _word("cost", "output_tokens")
USAGE_INPUT_TOKENS = _word("usage", "input_tokens")
USAGE_OUTPUT_TOKENS = _word("usage", "output_tokens")
PERMIT = _word("decision", "permit")
DECISION = _word("decision", "struct_size")
_DECISION_END = DECISION + ctypes.sizeof(Decision) // 8

MAX_POOLED = 256
"""How many unused frames a limiter keeps; more than that are let go."""


class Call:
    """One frame (cost, decision, usage) with its arguments to C, and the permit's finaliser.

    Fields are read and written as the words of an ``array``: the checked and cheapest way. The
    arguments are pointer objects that ctypes passes on as they are. ``permit`` looks into the
    decision, so that its 64 bits never become a Python number on their way back.

    A frame belongs to one thread at a time: it is popped from its limiter's deque, which is atomic,
    and appended again when its permit has ended. Invariant: outside of that deque, the permit's
    word is not 0 exactly while there is a permit to end, so a frame that is let go drops it.
    """

    __slots__ = ("words", "copy_decision", "cost", "decision", "usage", "permit", "limiter")

    def __init__(self, limiter: Any) -> None:
        self.words = array("q", bytes(_SIZE))
        frame = _Frame.from_buffer(self.words)
        frame.cost.struct_size = ctypes.sizeof(Cost)
        frame.cost.requests = 1
        frame.decision.struct_size = ctypes.sizeof(Decision)
        frame.usage.struct_size = ctypes.sizeof(Usage)
        frame.usage.exact = 1
        frame.usage.requests = frame.usage.input_tokens = frame.usage.output_tokens = -1
        start = ctypes.addressof(frame)
        self.cost = pointer(start + _Frame.cost.offset)
        self.decision = pointer(start + _Frame.decision.offset)
        self.usage = pointer(start + _Frame.usage.offset)
        self.copy_decision = memoryview(self.words)[DECISION:_DECISION_END].tobytes
        self.permit = ctypes.c_uint64.from_buffer(self.words, PERMIT * 8)
        self.limiter = limiter

    def __del__(self, permit_drop: Callable[..., int] = permit_drop) -> None:
        # In a forked child this answers "not owner", after the limiter "invalid handle": both fine.
        if self.words[PERMIT]:
            permit_drop(self.limiter, self.permit)


def pointer(address: int) -> Any:
    """An argument that ctypes passes as this 64-bit address without looking at it again."""
    return ctypes.c_void_p.from_param(address)
