"""Facts about libadmission.so that need no timing, and how long it takes to load."""

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Dict, List

ALLOWED = re.compile(r"^(libc|libm|libgcc_s|libstdc\+\+|libhiredis|ld-linux[\w-]*)\.so(\.|$)")


def _lines(command: List[str]) -> List[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()


def needed(path: Path) -> List[str]:
    return [
        match.group(1)
        for line in _lines(["readelf", "-d", str(path)])
        if (match := re.search(r"\(NEEDED\).*\[(.+)\]", line))
    ]


def exports(path: Path) -> List[str]:
    names = [
        line.split()[-1]
        for line in _lines(["nm", "-D", "--defined-only", "--extern-only", str(path)])
    ]
    return [name.split("@")[0] for name in names]


def glibc(path: Path) -> str:
    """The newest glibc version that a symbol asks for."""
    found = {
        tuple(int(part) for part in match.split("."))
        for line in _lines(["nm", "-D", "--undefined-only", "--with-symbol-versions", str(path)])
        for match in re.findall(r"@GLIBC_([0-9.]+)", line)
    }
    return ".".join(str(part) for part in max(found)) if found else "none"


def stripped_bytes(path: Path, scratch: Path) -> int:
    copy = scratch / "stripped.so"
    subprocess.run(["strip", "-o", str(copy), str(path)], check=True)
    return copy.stat().st_size


def fact(name: str, path: Path, scratch: Path) -> Dict[str, float]:
    if name == "stripped":
        return {"count": stripped_bytes(path, scratch)}
    if name == "foreign":
        return {"count": sum(1 for each in needed(path) if not ALLOWED.match(each))}
    return {"count": sum(1 for each in exports(path) if not each.startswith("admission_"))}


def spawn_milliseconds(command: List[str]) -> float:
    """From fork to exit in an empty environment: the best of five, for a difference is noisy."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        process = os.posix_spawn(command[0], command, {})
        _, status = os.waitpid(process, 0)
        best = min(best, (time.perf_counter() - start) * 1e3)
        if status != 0:
            raise subprocess.CalledProcessError(status, command)
    return best


def summary(path: Path) -> str:
    names = exports(path)
    return (
        f"{path.name}: needs {' '.join(needed(path))}; glibc {glibc(path)} or later; "
        f"{len(names)} exported names"
    )
