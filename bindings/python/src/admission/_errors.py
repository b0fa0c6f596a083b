"""Errors: one class with a pinned code, and subclasses where callers tell cases apart."""

from __future__ import annotations

from enum import IntEnum
from typing import Union


class Status(IntEnum):
    """The statuses of ``admission.h``; numbers are pinned and never reused.

    A newer library may answer with a number that is not listed here: ``AdmissionError.code`` is a
    plain ``int`` then.
    """

    OK = 0
    INVALID_ARGUMENT = 100
    INVALID_STRUCT_SIZE = 101
    INVALID_UTF8 = 102
    INVALID_HANDLE = 103
    CLOSED = 104
    BUFFER_TOO_SMALL = 105
    NOT_SUPPORTED = 106
    INVALID_TIMEOUT = 107
    INVALID_POLICY = 200
    POLICY_UNREADABLE = 201
    ZONE_UNAVAILABLE = 202
    MISSING_ATTRIBUTE = 300
    DUPLICATE_ATTRIBUTE = 301
    INVALID_ATTRIBUTE = 302
    NEGATIVE_COST = 303
    NEGATIVE_USAGE = 304
    CONCURRENCY_NEEDS_PERMIT = 305
    TOO_MANY_LIMITS = 306
    INVALID_COUNT = 307
    ALREADY_COMPLETED = 400
    NOT_OWNER = 401
    LEASE_EXPIRED = 402
    PERMIT_TABLE_FULL = 500
    KEY_TABLE_FULL = 501
    OUT_OF_MEMORY = 502
    HANDLE_TABLE_FULL = 503
    UNSUPPORTED_STORE = 600
    STORE_UNAVAILABLE = 601
    STORE_FOREIGN = 602
    STORE_VERSION = 603
    STORE_CORRUPTED = 604
    STORE_FULL = 605
    STORE_NOT_PERMITTED = 606
    NETWORK_FILE_SYSTEM = 607
    OTHER_TIME_NAMESPACE = 608
    CLOCK_MISMATCH = 609
    STORE_REPLACED = 610
    OWNER_TABLE_FULL = 611
    STORE_IN_USE = 612
    NOT_MANUAL_CLOCK = 700
    CLOCK_BACKWARDS = 701
    INTERNAL = 900


class AdmissionError(Exception):
    """Misuse, a bad document or a broken store; never a rejection, which is a ``Decision``."""

    code: Union[Status, int]
    """The status: a ``Status``, or a plain ``int`` that this version does not know."""
    message: str
    """What happened, with the numbers."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        try:
            self.code = Status(code)
        except ValueError:
            self.code = code
        self.message = message

    @property
    def name(self) -> str:
        """The status' name as the header writes it, without its prefix: ``"not_owner"``."""
        return self.code.name.lower() if isinstance(self.code, Status) else f"status_{self.code}"

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name


class ArgumentError(AdmissionError, ValueError):
    """An argument is outside its range (statuses 100 to 107 and 300 to 307)."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument has a type that is never converted: a float, a bool or None for a number."""


class PolicyError(AdmissionError, ValueError):
    """The policy document can't be read or says something impossible (statuses 200 to 202)."""


class AlreadyCompleted(AdmissionError):
    """The permit was ended before; nothing was changed."""


class NotOwner(AdmissionError):
    """The permit belongs to another process: only the one that acquired it may end it."""


class LibraryError(ImportError):
    """``libadmission.so`` was not found, can't be loaded, or speaks another interface version."""


_CLASSES: dict[int, type[AdmissionError]] = {
    Status.CLOSED: AdmissionError,
    Status.NOT_SUPPORTED: AdmissionError,
    Status.ALREADY_COMPLETED: AlreadyCompleted,
    Status.NOT_OWNER: NotOwner,
}
_FAMILIES = {1: ArgumentError, 2: PolicyError, 3: ArgumentError}


def error(code: int, message: str) -> AdmissionError:
    """The exception for a status, to be raised by the caller."""
    kind = _CLASSES.get(code) or _FAMILIES.get(code // 100, AdmissionError)
    return kind(code, message)
