"""``admission.h`` in ctypes: structs, functions, and the conversions in front of them."""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Mapping
from ctypes import POINTER, Structure, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64
from ctypes import c_void_p
from typing import Any, Callable, Optional

from . import _library
from ._errors import AdmissionError, ArgumentError, ArgumentTypeError, Status, error

library, library_path = _library.load()

# The same library, called without giving up the interpreter lock: for the functions that never
# block. Giving it up and taking it again costs more than a decision.
_unblocking = ctypes.PyDLL(library_path, handle=library._handle)

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


class Options(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("clock", c_int32),
        ("policy_json", c_char_p),
        ("policy_path", c_char_p),
        ("store_url", c_char_p),
        ("start_unix_ns", c_int64),
        ("permit_capacity", c_int64),
        ("key_capacity", c_int64),
        ("heartbeat", c_int32),
        ("reserved", c_uint32),
    ]


class Attribute(Structure):
    _fields_ = [("name", c_char_p), ("value", c_char_p)]


class Count(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("reserved", c_uint32),
        ("name", c_char_p),
        ("value", c_int64),
    ]


class Cost(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("extra_count", c_uint32),
        ("requests", c_int64),
        ("input_tokens", c_int64),
        ("output_tokens", c_int64),
        ("priority", c_char_p),
        ("extra", c_void_p),
    ]


class Usage(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("exact", c_int32),
        ("requests", c_int64),
        ("input_tokens", c_int64),
        ("output_tokens", c_int64),
        ("extra", c_void_p),
        ("extra_count", c_uint32),
        ("reserved", c_uint32),
    ]


class Decision(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("outcome", c_int32),
        ("reason", c_int32),
        ("store_mode", c_int32),
        ("permit", c_uint64),
        ("retry_after_ns", c_int64),
        ("predicted_start_unix_ns", c_int64),
        ("decided_at_ns", c_int64),
        ("decided_at_unix_ns", c_int64),
        ("limit", c_int64),
        ("asked", c_int64),
        ("remaining", c_int64),
        ("policy_name", c_void_p),
        ("limit_name", c_void_p),
    ]


def _function(
    name: str, *argument_types: Any, result: Any = c_int32, loaded: Any = library
) -> Callable[..., Any]:
    function = getattr(loaded, name)
    function.argtypes, function.restype = argument_types, result
    return function  # type: ignore[no-any-return]


def _unchecked(name: str) -> Callable[..., int]:
    """A function of the decision path, without conversion and without releasing the lock.

    Pass it prepared objects only: ctypes would cut a bare ``int`` to 32 bits without a word.
    """
    function = getattr(_unblocking, name)
    function.restype = c_int32
    return function  # type: ignore[no-any-return]


_TEXT = (c_char_p, c_size_t, POINTER(c_size_t))

version = _function("admission_version", result=c_char_p)
status_name = _function("admission_status_name", c_int32, result=c_char_p)
reason_name = _function("admission_reason_name", c_int32, result=c_char_p)
last_error = _function("admission_last_error", c_char_p, c_size_t, result=c_size_t)
limiter_open = _function("admission_limiter_open", POINTER(Options), POINTER(c_void_p))
limiter_close = _function("admission_limiter_close", c_void_p)
limiter_reload = _function("admission_limiter_reload", c_void_p, c_char_p)
limiter_advance = _function("admission_limiter_advance", c_void_p, c_int64)
limiter_set_time = _function("admission_limiter_set_time", c_void_p, c_int64)
limiter_snapshot = _function("admission_limiter_snapshot", c_void_p, *_TEXT)
limiter_metrics = _function("admission_limiter_metrics", c_void_p, *_TEXT)
limiter_reclaim = _function("admission_limiter_reclaim", c_void_p, POINTER(c_size_t))
limiter_events_read = _function(
    "admission_limiter_events_read", c_void_p, POINTER(c_uint64), *_TEXT
)
gate_open = _function(
    "admission_gate_open", c_void_p, POINTER(Attribute), c_size_t, POINTER(c_void_p)
)
gate_close = _function("admission_gate_close", c_void_p)
gate_explain = _function("admission_gate_explain", c_void_p, POINTER(Cost), *_TEXT)
acquire = _function("admission_acquire", c_void_p, POINTER(Cost), c_int64, c_void_p)

try_acquire = _unchecked("admission_try_acquire")
try_charge = _unchecked("admission_try_charge")
permit_complete = _unchecked("admission_permit_complete")
permit_add = _unchecked("admission_permit_add")
permit_abandon = _unchecked("admission_permit_abandon")
permit_drop = _unchecked("admission_permit_drop")
permit_renew = _unchecked("admission_permit_renew")


def failure(status: int) -> AdmissionError:
    """The exception for the calling thread's last failure."""
    buffer = ctypes.create_string_buffer(1_024)
    length = last_error(buffer, len(buffer))
    if length >= len(buffer):
        buffer = ctypes.create_string_buffer(length + 1)
        last_error(buffer, len(buffer))
    return error(status, buffer.value.decode("utf-8", "replace"))


def check(status: int) -> None:
    """Raises what a status other than 0 stands for."""
    if status:
        raise failure(status)


def read_text(function: Callable[..., int], *arguments: Any) -> str:
    """What a function writes into a buffer; asks again while the text grows, up to eight times."""
    needed = c_size_t(4_096)
    for _ in range(8):
        buffer = ctypes.create_string_buffer(needed.value)
        status = function(*arguments, buffer, len(buffer), ctypes.byref(needed))
        if status != Status.BUFFER_TOO_SMALL:
            break
        needed.value += needed.value // 4
    check(status)
    return buffer.value.decode("utf-8")


def int64(name: str, value: Any) -> int:
    """``value`` as an ``int`` that C's ``int64_t`` holds.

    Takes integers and what has ``__index__`` (numpy's, for one). A bool, a float or None is
    refused, not converted, and so is what does not fit.
    """
    if type(value) is not int:
        try:
            if isinstance(value, bool):
                raise TypeError
            value = operator.index(value)
        except TypeError:
            raise ArgumentTypeError(
                Status.INVALID_ARGUMENT, f"{name} is {value!r}: an int is needed"
            ) from None
    if not INT64_MIN <= value <= INT64_MAX:
        digits = value.bit_length()
        raise ArgumentError(
            Status.INVALID_ARGUMENT, f"{name} takes {digits} bits and does not fit 64 with its sign"
        )
    return int(value)


def text(name: str, value: Any, status: Status = Status.INVALID_ARGUMENT) -> bytes:
    """``value``, a ``str``, as UTF-8. A NUL is refused: it would end the text early in C."""
    if not isinstance(value, str):
        raise ArgumentTypeError(status, f"{name} is {value!r}: text is needed")
    if "\0" in value:
        raise ArgumentError(status, f"{name} holds NUL at character {value.index(chr(0))}")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as reason:
        raise ArgumentError(
            Status.INVALID_UTF8, f"{name}: character {reason.start} is a lone surrogate"
        ) from None


def counts(
    extra: Optional[Mapping[str, int]], keywords: Mapping[str, int]
) -> Optional[ctypes.Array[Count]]:
    """Named extra counts as C takes them, or None for none; keep the array while it is in use."""
    if extra is None:
        amounts = keywords
    elif not isinstance(extra, Mapping):
        raise ArgumentTypeError(Status.INVALID_COUNT, f"extra is {extra!r}: a mapping is needed")
    else:
        amounts = extra
        if keywords:
            twice = sorted(keywords.keys() & extra.keys())
            if twice:
                raise ArgumentError(Status.INVALID_COUNT, f"{twice[0]!r} is there twice")
            amounts = {**extra, **keywords}
    if not amounts:
        return None
    size = ctypes.sizeof(Count)
    return (Count * len(amounts))(
        *(
            Count(size, 0, text("a count's name", name, Status.INVALID_COUNT), int64(name, amount))
            for name, amount in amounts.items()
        )
    )
