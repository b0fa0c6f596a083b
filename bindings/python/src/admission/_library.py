"""Finds and loads ``libadmission.so``.

The first of these that exists is loaded; what was tried stands in the error:

1. the file that the environment's ``ADMISSION_LIBRARY`` names (then nothing else is tried);
2. ``libadmission.so.0`` in this package's folder: a wheel carries it there;
3. ``build/lib`` of the checkout that this package is part of, if it is;
4. the system's loader: ``LD_LIBRARY_PATH``, ``/etc/ld.so.conf``, the standard folders.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Optional

from ._errors import LibraryError

ABI_VERSION = 0
"""The ``ADMISSION_ABI_VERSION`` that this package was written for."""

FILE_NAME = f"libadmission.so.{ABI_VERSION}"
_VARIABLE = "ADMISSION_LIBRARY"


def load() -> tuple[ctypes.CDLL, str]:
    """The library and the path it came from. Raises ``LibraryError``."""
    named = os.environ.get(_VARIABLE)
    if named:
        return _checked(named, f"{_VARIABLE}={named}")
    package = Path(__file__).resolve().parent
    tried = []
    for candidate in (package / FILE_NAME, _checkout_library(package)):
        if candidate is None:
            continue
        if candidate.exists():
            return _checked(str(candidate), str(candidate))
        tried.append(f"{candidate}: no such file")
    try:
        return _checked(FILE_NAME, f"the system's {FILE_NAME}")
    except LibraryError as failure:
        tried.append(str(failure))
    raise LibraryError(
        "libadmission was not found; tried:\n  "
        + "\n  ".join(tried)
        + f"\nSet {_VARIABLE} to the library's path, or install the wheel, which carries it."
    )


def _checkout_library(package: Path) -> Optional[Path]:
    """``build/lib/…`` where the package lies in ``bindings/python/src`` of a checkout."""
    if len(package.parents) < 4:
        return None
    root = package.parents[3]
    if not (root / "include" / "admission.h").exists():
        return None
    return root / "build" / "lib" / FILE_NAME


def _checked(path: str, source: str) -> tuple[ctypes.CDLL, str]:
    """Loads ``path`` and compares interface versions before anything else is called."""
    try:
        library = ctypes.CDLL(path)
    except (OSError, ValueError) as failure:
        raise LibraryError(f"{source}: can't be loaded: {failure}") from failure
    try:
        abi_version = library.admission_abi_version
    except AttributeError:
        raise LibraryError(f"{source}: is no libadmission (no admission_abi_version)") from None
    abi_version.argtypes, abi_version.restype = (), ctypes.c_uint32
    found = abi_version()
    if found != ABI_VERSION:
        older = "library" if found < ABI_VERSION else "Python package"
        raise LibraryError(
            f"{source}: has interface version {found}, this package needs {ABI_VERSION}; "
            f"the {older} is too old"
        )
    return library, _mapped_path(path)


def _mapped_path(path: str) -> str:
    """Where the system's loader found ``path``, as far as the kernel tells."""
    if os.sep in path:
        return os.path.realpath(path)
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                fields = line.rstrip("\n").split(maxsplit=5)
                if len(fields) == 6 and os.path.basename(fields[5]).startswith("libadmission.so"):
                    return fields[5]
    except OSError:
        pass
    return path
