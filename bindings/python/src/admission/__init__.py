"""Admission decides, before a call is sent, whether it may go now, when it may go, or never.

    from admission import Limiter

    limiter = Limiter("policy.json")
    gate = limiter.gate(project="acme", model="gemini-2.5-flash")
    decision = gate.try_acquire(input_tokens=1200)
    if decision:
        ...  # make the call
        decision.permit.complete(input_tokens=1187, output_tokens=310)
    else:
        print(decision.limit_name, decision.reason, decision.retry_after)

A thin layer over ``libadmission.so``: what policies mean and how limits count is decided there, as
in Swift and C. Open the limiter before forking workers and they share it.
"""

from ._bindings import library_path as library_path
from ._bindings import version as _version
from ._decision import Decision, Permit, Rejected, Settlement
from ._errors import (
    AdmissionError,
    AlreadyCompleted,
    ArgumentError,
    ArgumentTypeError,
    LibraryError,
    NotOwner,
    PolicyError,
    Status,
)
from ._gate import Gate
from ._limiter import Limiter

__version__: str = _version().decode()
"""The version of the library that is loaded; ``library_path`` says from where."""

__all__ = [
    "AdmissionError",
    "AlreadyCompleted",
    "ArgumentError",
    "ArgumentTypeError",
    "Decision",
    "Gate",
    "LibraryError",
    "Limiter",
    "NotOwner",
    "Permit",
    "PolicyError",
    "Rejected",
    "Settlement",
    "Status",
    "library_path",
]
