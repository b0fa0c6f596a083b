"""Installs and builds what the rows need: packages, the programs in C, Go and Swift, a virtual
environment, the library. Everything lands in build/bench."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, List, Set

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OUT = ROOT / "build" / "bench"
VENV = ROOT / "build" / "venv-bench"
LIBRARY = ROOT / "build" / "lib" / "libadmission.so"
GO_PATH = "/usr/share/gocode"


class Unavailable(Exception):
    """A program cannot be had here; the text says why."""


def execute(command: List[str], **options: object) -> None:
    """Runs a build step, quiet unless it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(  # type: ignore[call-overload]
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout.rstrip()}")


def newer(target: Path, *sources: Path) -> bool:
    return target.exists() and all(
        target.stat().st_mtime >= source.stat().st_mtime for source in sources
    )


def compile_c(name: str, output: str, *flags: str, links_library: bool = False) -> Path:
    source, target = HERE / name, OUT / output
    inputs = [source, HERE / "measure.h"] + ([LIBRARY] if links_library else [])
    if not newer(target, *inputs):
        link = [f"-L{LIBRARY.parent}", "-ladmission", f"-Wl,-rpath,{LIBRARY.parent}"]
        execute(
            ["gcc", "-O2", "-Wall", "-Wextra", "-pthread", *flags, f"-I{ROOT / 'include'}"]
            + [str(source), "-o", str(target)]
            + (link if links_library else [])
        )
    return target


def floor() -> List[str]:
    return [str(compile_c("floor.c", "floor"))]


def allocations() -> List[str]:
    preload = compile_c("allocations.c", "allocations.so", "-shared", "-fPIC")
    return ["env", f"LD_PRELOAD={preload}", *swift()]


def swift() -> List[str]:
    scratch = OUT / "swift"
    execute(
        ["swift", "build", "-c", "release", "--package-path", str(HERE)]
        + ["--scratch-path", str(scratch), "-j", str(os.cpu_count() or 1)]
    )
    return [str(scratch / "release" / "AdmissionBench")]


def library() -> Path:
    if not LIBRARY.exists():
        execute(["make", "-s", "library"], cwd=ROOT)
    return LIBRARY


def boundary() -> List[str]:
    library()
    return [str(compile_c("boundary.c", "boundary", links_library=True))]


def load() -> List[str]:
    library()
    return [str(compile_c("load.c", "load", "-ldl"))]


def go() -> List[str]:
    target = OUT / "rate"
    if not newer(target, HERE / "go" / "main.go"):
        environment = {
            **os.environ,
            "GO111MODULE": "off",
            "GOPATH": GO_PATH,
            "GOCACHE": str(OUT / "go-cache"),
            "GOFLAGS": "",
        }
        execute(["go", "build", "-o", str(target), str(HERE / "go" / "main.go")], env=environment)
    return [str(target)]


def python() -> List[str]:
    requirements, stamp = HERE / "requirements.txt", VENV / "installed"
    if not newer(stamp, requirements):
        found = subprocess.run(
            [str(ROOT / "scripts" / "python")], stdout=subprocess.PIPE, text=True, check=False
        )
        interpreter = found.stdout.strip() or sys.executable
        execute([interpreter, "-m", "venv", "--clear", str(VENV)])
        execute([str(VENV / "bin" / "pip"), "install", "-q", "-r", str(requirements)])
        stamp.touch()
    unit = compile_c("unit.c", "unit.so", "-shared", "-fPIC")
    if LIBRARY.exists():
        os.environ["ADMISSION_LIBRARY"] = str(LIBRARY)
    os.environ["ADMISSION_BENCH_UNIT"] = str(unit)
    os.environ["PYTHONPATH"] = str(ROOT / "bindings" / "python" / "src")
    return [str(VENV / "bin" / "python"), str(HERE / "rivals.py")]


PROGRAMS: Dict[str, Callable[[], List[str]]] = {
    "floor": floor,
    "swift": swift,
    "allocations": allocations,
    "boundary": boundary,
    "load": load,
    "library": lambda: [str(library())],
    "go": go,
    "python": python,
}

NEEDS = {
    "floor": ["cc"],
    "swift": ["swift"],
    "allocations": ["cc", "swift"],
    "boundary": ["cc", "swift"],
    "load": ["cc", "swift"],
    "library": ["swift", "binutils"],
    "go": ["go", "go-x-time"],
    "python": ["cc", "python-venv"],
}


def install(programs: Set[str]) -> bool:
    """Installs the packages that are missing, or prints the command that would; False then."""
    needs = sorted({need for program in programs for need in NEEDS[program]})
    return subprocess.run([str(ROOT / "scripts" / "need"), *needs], check=False).returncode == 0
