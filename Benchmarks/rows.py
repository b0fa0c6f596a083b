"""What is measured: one `Row` a line of the table, in the order of the table."""

from dataclasses import dataclass
from typing import List, Optional, Tuple


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `program` is a key of build.PROGRAMS and `name` that program's own name of the row. `unit` is
    the row that this one is a multiple of (None: it has no multiple). `value` is the key of the
    program's answer, `measure` what that number is. `once`: the figure does not vary, one run is
    enough. `slow`: left out of a quick run.
    """

    group: str
    program: str
    name: str
    title: str
    unit: Optional[str] = "floor/floor"
    value: str = "ns"
    measure: str = "ns"
    once: bool = False
    slow: bool = False

    @property
    def id(self) -> str:
        base = f"{self.program}/{self.name}"
        return base if self.value in ("ns", "ms") else f"{base}.{self.value}"


TWO = "floor/floor-two-threads"
CALL = "python/ctypes-call"


def _rows(
    group: str, program: str, *lines: Tuple[str, str], unit: Optional[str] = "floor/floor"
) -> List[Row]:
    return [Row(group, program, name, title, unit) for name, title in lines]


ROWS: List[Row] = [
    *_rows(
        "The floor (C, gcc -O2)",
        "floor",
        ("floor", "time-stamp counter + compare-and-swap, one loop"),
        ("rdtsc", "  the counter alone"),
        ("cas", "  the compare-and-swap alone"),
        ("floor-two-threads", "two threads on the one word"),
        ("million-bare", "a million gates and records in random order"),
    ),
    *_rows(
        "Swift, one thread",
        "swift",
        ("bucket-charge", "bucket: tryCharge"),
        ("bucket-acquire", "bucket: acquire + complete"),
        ("rolling-charge", "rolling: tryCharge"),
        ("rolling-acquire", "rolling: acquire + complete"),
        ("calendar-charge", "calendar day: tryCharge"),
        ("four-acquire", "RPM+TPM+RPD+parallel: acquire + complete"),
        ("four-settle", "  the same, used less than the estimate"),
        ("refuse-bucket", "refused: empty bucket, tryCharge"),
        ("refuse-four", "refused: four limits, RPM spent"),
        ("refuse-parallel", "refused: four limits, slot taken"),
        ("million-charge", "a million keys, a gate each, random order"),
    ),
    *_rows(
        "Swift, two threads (wall time a call)",
        "swift",
        ("bucket-two-threads", "one bucket, through one gate"),
        ("bucket-two-threads-two-gates", "one bucket, a gate each"),
        ("four-two-threads", "four limits: acquire + complete, one gate"),
        unit=TWO,
    ),
    *[
        Row("Swift, file store on tmpfs", "swift", name, title, f"swift/{memory}")
        for name, title, memory in (
            ("file-bucket-charge", "bucket: tryCharge", "bucket-charge"),
            ("file-bucket-acquire", "bucket: acquire + complete", "bucket-acquire"),
            ("file-four-acquire", "four limits: acquire + complete", "four-acquire"),
            (
                "file-bucket-two-processes",
                "two processes on one bucket (wall time a call)",
                "bucket-two-threads",
            ),
            (
                "file-four-two-processes",
                "two processes on four limits: acquire + complete",
                "four-two-threads",
            ),
        )
    ],
    *[
        Row("Swift, file store in turn with memory", "swift", name, title, None, "times", "x memory")
        for name, title in (
            ("file-bucket-charge", "bucket: tryCharge"),
            ("file-bucket-acquire", "bucket: acquire + complete"),
            ("file-four-acquire", "four limits: acquire + complete"),
            ("file-bucket-two-processes", "two processes on one bucket, x two threads"),
            ("file-four-two-processes", "two processes on four limits, x two threads"),
        )
    ],
    *[
        Row("Swift, opening a file store", "swift", name, title, None, value, "ms")
        for name, value, title in (
            ("file-open-100k", "ms", "open a file of 100,000 keys, again and again"),
            ("file-open-100k", "fresh", "  for the first time in a process"),
            ("file-open-kinds-100k", "ms", "open one of 100,000 keys of every kind of limit"),
            ("file-open-kinds-100k", "fresh", "  for the first time in a process"),
        )
    ],
    *_rows(
        "Swift, around a decision",
        "swift",
        ("gate-open", "open a gate on an existing key"),
        ("gate-open-many", "  on one of 10,000 keys in turn"),
        ("explain-four", "explain four limits, as JSON"),
        ("reload-large", "reload 1,000 policies, 3,000 limits"),
        unit=None,
    ),
    *[
        Row("Swift, spread over batches of 16", "swift", name, f"{title}, {label}", None, value)
        for name, title in (
            ("latency-bucket", "bucket: tryCharge"),
            ("latency-four", "four limits: acquire + complete"),
        )
        for value, label in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))
    ],
    *_rows(
        "C, through libadmission.so",
        "boundary",
        ("bucket-charge", "bucket: try_charge"),
        ("bucket-acquire", "bucket: try_acquire + complete"),
        ("four-acquire", "four limits: try_acquire + complete"),
        ("four-settle", "  the same, used less than the estimate"),
        ("million-charge", "a million keys, a gate each, random order"),
    ),
    Row(
        "C, through libadmission.so",
        "boundary",
        "bucket-two-threads",
        "two threads on one bucket",
        TWO,
    ),
    *_rows(
        "Go: golang.org/x/time/rate",
        "go",
        ("allow", "Allow"),
        ("reserve", "Reserve + Cancel"),
    ),
    Row("Go: golang.org/x/time/rate", "go", "allow-two-threads", "Allow, two threads", TWO),
    *_rows(
        "Python",
        "python",
        ("ctypes-call", "a ctypes call with three argtypes"),
        ("admission-charge", "admission: bucket, try_charge"),
        ("admission-one", "admission: bucket, try_acquire + complete"),
        ("admission-four", "admission: four limits, try_acquire + complete"),
        ("admission-settle", "  the same, used less than the estimate"),
        ("limits-fixed", "limits: fixed window"),
        ("limits-moving", "limits: moving window"),
        ("throttled-bucket", "throttled-py: token bucket"),
        ("throttled-gcra", "throttled-py: GCRA"),
        ("pyrate", "pyrate-limiter"),
        ("aiolimiter", "aiolimiter (asyncio)"),
        unit=CALL,
    ),
    *[
        Row(
            "Allocations a call (interposed malloc)",
            "allocations",
            "allocations",
            title,
            None,
            value,
            "a call",
            once=True,
        )
        for value, title in (
            ("charge", "bucket: tryCharge"),
            ("acquire", "bucket: acquire + complete"),
            ("four", "four limits: acquire + complete"),
            ("settle", "four limits: acquire + settle"),
            ("refuse", "four limits: refused"),
            ("planted", "planted: two a call"),
        )
    ],
    *[
        Row(
            "Memory (resident and shared, gates closed)",
            "swift",
            name,
            title,
            None,
            "bytes",
            measure,
            once=True,
            slow=True,
        )
        for name, title, measure in (
            ("memory-bucket", "bucket, a million keys", "B/key"),
            ("memory-rolling", "rolling, 61 cells", "B/key"),
            ("memory-calendar", "calendar", "B/key"),
            ("memory-untouched", "50 million keys of untouched capacity", "B"),
        )
    ],
    Row("libadmission.so", "load", "dlopen", "dlopen in an empty environment", None, "ms", "ms"),
    Row(
        "libadmission.so",
        "load",
        "exec",
        "exec of a linked program, less an empty one",
        None,
        "ms",
        "ms",
    ),
    *[
        Row("libadmission.so", "library", name, title, None, "count", measure, once=True)
        for name, title, measure in (
            ("stripped", "stripped size", "bytes"),
            ("foreign", "needed libraries beyond the allowed", ""),
            ("exports", "exported names that are not admission_*", ""),
        )
    ],
]
