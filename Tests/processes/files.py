"""The file itself: raced for, deleted, replaced, truncated, full, read-only, not one's own, and kept
over restarts."""

from __future__ import annotations

import datetime
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from harness import IS_SOAK, LANGUAGES, Gone, Place, Suite, Worker, check_store, wait_until

NOTICED_SECONDS = 1.0
NOBODY = 65_534
STRANGER = 65_533
RACERS = ("c",) * 8 + ("swift",) * 4 + ("python",) * 4


def requests(limit: int, window: str = "1h", **more: Any) -> dict[str, Any]:
    """A policy with one limit on requests, a key for each project."""
    return {
        "name": "main", "match": {"project": "*"}, "per": ["project"],
        "limits": [{"name": "requests", "count": "requests", "limit": limit, "window": window,
                    **more}],
    }


def grants(worker: Worker, attempts: int) -> int:
    return sum(worker.must("acquire g 0").is_admitted for _ in range(attempts))


def racing(suite: Suite) -> None:
    """Sixteen processes open a file that is not there yet, all at once, time and again."""
    rounds, limit, attempts = (20 if IS_SOAK else 3), 40, 5
    with Place() as place:
        policy = place.policy(requests(limit))
        workers = [place.worker(language) for language in RACERS]
        for worker in workers:
            worker.must("ready")
        totals, files = [], []
        for number in range(rounds):
            path = f"{place.folder}/raced-{number}/quota"
            os.mkdir(os.path.dirname(path))
            for worker in workers:
                worker.send(f"open file:{path} {policy}")
            for worker in workers:
                answer = worker.answer()
                assert answer.kind == "ok", answer
                worker.must("gate g project=acme")
            for _ in range(attempts):
                for worker in workers:
                    worker.send("acquire g 0")
                totals.append(sum(worker.answer().is_admitted for worker in workers))
            files.append(os.listdir(os.path.dirname(path)))
            for worker in workers:
                worker.must("close")
        by_round = [sum(totals[n * attempts : (n + 1) * attempts]) for n in range(rounds)]
        suite.check(f"{len(RACERS)} processes that race to make the file end up with one",
                    by_round == [limit] * rounds, f"{by_round} admitted of {limit} each")
        suite.check("the race leaves no other file", files == [["quota"]] * rounds)


def noticed(worker: Worker, since: float) -> float:
    """Seconds until the worker's decisions fail with store_replaced."""

    def fails() -> bool:
        answer = worker.ask("acquire g 0")
        if answer.error not in (None, "store_replaced"):
            raise AssertionError(str(answer))
        return answer.error is not None

    wait_until(fails, 5)
    return time.monotonic() - since


def has_event(worker: Worker) -> bool:
    """Whether it reports what happened to its file, within a second or so."""

    def reports() -> bool:
        return any(e.get("kind") == "store_replaced" for e in worker.must("events").json)

    try:
        wait_until(reports, 1.5)
    except TimeoutError:
        return False
    return True


def taken_away(suite: Suite, how: str) -> None:
    """The file is deleted, or another one takes its name, under three processes."""
    with Place() as place:
        policy = place.policy(requests(100))
        workers = [place.opened(language, policy, "g project=acme") for language in LANGUAGES]
        if how == "replaced":
            place.worker("c").open(f"{place.url}.next", policy).quit()
            since = time.monotonic()
            os.rename(f"{place.store}.next", place.store)
        else:
            since = time.monotonic()
            os.unlink(place.store)
        seconds = {worker.language: noticed(worker, since) for worker in workers}
        suite.check(
            f"{how}: every process notices within a second, and decides no more",
            max(seconds.values()) <= NOTICED_SECONDS,
            ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in seconds.items()),
        )
        for worker in workers:
            suite.check(f"{how}: {worker.language} has an event for it", has_event(worker))
        for worker in workers:
            worker.must("close")
            worker.must(f"open {place.url} {policy}")
            worker.must("gate g project=acme")
        total = sum(grants(worker, 50) for worker in workers)
        suite.check(f"{how}: opened anew, they share the file that is there", total == 100, total)


class Truncation(NamedTuple):
    """What became of a process whose file was cut."""

    end: str
    """``SIGBUS`` or another signal, the error that it answers, or ``goes on``."""
    seconds: float
    is_in_time: bool
    """Within a second of the cut, or with its first decisions where it was asked later; and the longest
    time between two of them, by which the machine can hide it."""
    later: set[str]
    """What its decisions were once one had been refused."""


def after_truncation(worker: Worker, since: float) -> Truncation:
    """Has it do nothing but decide, until it ends or is refused; then a hundred times more."""
    begun = last = time.monotonic()
    longest, end = 0.0, "goes on"
    later: set[str] = set()
    while last - begun < 5 and end == "goes on":
        try:
            end = worker.ask("acquire g 0").error or end
        except Gone:
            end = signal.Signals(-worker.process.wait()).name
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    if worker.process.poll() is None:
        try:
            for _ in range(100):
                answer = worker.ask("acquire g 0")
                later.add(answer.error or answer.kind)
        except Gone:
            later.add(signal.Signals(-worker.process.wait()).name)
    in_time = max(since + NOTICED_SECONDS, begun) + longest
    return Truncation(end, last - since, last <= in_time, later)


def truncated(suite: Suite) -> None:
    """An outsider cuts the file. Nothing can prevent it: a process ends by SIGBUS when it touches
    what is gone, or notices within a second and decides no more."""
    for name, size in (("to nothing", 0), ("to its header", 294_912), ("by half", None)):
        with Place() as place:
            policy = place.policy(requests(1_000_000))
            workers = [place.opened(language, policy, "g project=acme") for language in LANGUAGES]
            length = os.stat(place.store).st_size // 2 if size is None else size
            since = time.monotonic()
            os.truncate(place.store, length)
            ends = {worker.language: after_truncation(worker, since) for worker in workers}
            suite.check(
                f"truncated {name}: every process ends by SIGBUS or is refused, within a second",
                all(e.end in ("SIGBUS", "store_replaced") and e.is_in_time
                    for e in ends.values()),
                ", ".join(f"{language} {e.end} after {e.seconds * 1000:.0f} ms"
                          for language, e in ends.items()),
            )
            lasting = [worker for worker in workers if worker.process.poll() is None]
            suite.check(
                f"truncated {name}: who has noticed admits nothing more, and lives",
                all(ends[worker.language].later == {"store_replaced"} for worker in lasting)
                and all(not e.later or e.later == {"store_replaced"} for e in ends.values()),
                {language: e.later for language, e in ends.items() if e.later} or "nobody lives",
            )
            for worker in lasting:
                suite.check(f"truncated {name}: {worker.language} has an event for it",
                            has_event(worker))
            late = place.worker("c").ask(f"open {place.url} {policy}")
            suite.check(f"truncated {name}: who opens it then is told so",
                        late.error in ("store_corrupted", "store_foreign"), late.error)


@contextmanager
def mounted(megabytes: int) -> Iterator[str]:
    """A file system of its own; raises ``OSError`` where none can be mounted."""
    with Place() as place:
        folder = f"{place.folder}/disk"
        os.mkdir(folder)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "none", folder]
        if subprocess.run(mount, capture_output=True).returncode:
            raise OSError("no file system can be mounted here")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], capture_output=True)


def full(suite: Suite) -> None:
    """The disk is full when the file is made, or when it grows."""
    with mounted(4) as disk:
        with open(f"{disk}/filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, (4 << 20) - (128 << 10))
        with Place(disk) as place, Place() as elsewhere:
            policy = elsewhere.policy(requests(10))
            for language in LANGUAGES:
                answer = place.worker(language).ask(f"open {place.url} {policy}")
                suite.check(f"full disk: {language} cannot make the file, and says why",
                            answer.error == "store_full", answer.error)
            suite.check("full disk: no file is left", not os.path.exists(place.store))
    with mounted(4) as disk, Place() as elsewhere:
        policy = elsewhere.policy(requests(10))
        url = f"file:{disk}/quota"
        worker = elsewhere.worker("c")
        worker.must(f"open {url} {policy}")
        worker.must("gate g project=acme")
        with open(f"{disk}/filler", "wb") as filler:
            space = os.statvfs(disk)
            os.posix_fallocate(filler.fileno(), 0, max(1, space.f_bavail * space.f_frsize))
        # Gates beyond the worker's own table: processes come and go, the keys stay.
        error, made = None, 0
        while error is None and made < 40_000:
            with elsewhere.worker("c") as filling:
                filling.must(f"open {url} {policy}")
                for number in range(made, made + 60):
                    answer = filling.ask(f"gate g{number} project=p{number:0200}")
                    if not answer.error:
                        answer = filling.ask(f"acquire g{number} 0")
                    if answer.error:
                        error = answer.error
                        break
                made += 60
        suite.check("full disk: a file that cannot grow is an error, not a SIGBUS",
                    error == "store_full", f"{error} after {made} keys")
        suite.check("full disk: what is there goes on", worker.must("acquire g 0").is_admitted)
        check_store(suite, f"{disk}/quota", "full disk: the store is consistent")


def read_only(suite: Suite) -> None:
    with mounted(16) as disk, Place() as elsewhere:
        policy = elsewhere.policy(requests(10))
        elsewhere.worker("c").open(f"file:{disk}/quota", policy).quit()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for language in LANGUAGES:
            for name in ("quota", "new"):
                answer = elsewhere.worker(language).ask(f"open file:{disk}/{name} {policy}")
                suite.check(f"read-only file system: {language}, {name}: an error with a name",
                            answer.error == "store_not_permitted", answer.error)


def users(suite: Suite) -> None:
    """A user without permission cannot open the file; a member of its group can."""
    with Place() as place:
        policy = place.policy(requests(10))
        mine = place.opened("c", policy, "g project=acme")
        mode = stat.S_IMODE(os.stat(place.store).st_mode)
        suite.check("a file is its owner's alone", mode == 0o600, oct(mode))
        for language in ("c", "python"):
            other = place.worker(language)
            other.must(f"become {NOBODY} {NOBODY}")
            answer = other.ask(f"open {place.url} {policy}")
            suite.check(f"another user cannot open it ({language})",
                        answer.error == "store_not_permitted", answer.error)
            answer = other.ask(f"open file:{place.folder}/own {policy}")
            suite.check(f"nor make one where it may not write ({language})",
                        answer.error == "store_not_permitted", answer.error)
        suite.check("its owner goes on", mine.must("acquire g 0").is_admitted)

        url = f"file:{place.folder}/shared?group={NOBODY}"
        first = place.worker("swift").open(url, policy, "g project=acme")
        status = os.stat(f"{place.folder}/shared")
        suite.check("?group= makes a file for its group",
                    (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, NOBODY),
                    oct(status.st_mode))
        member = place.worker("python")
        member.must(f"become {NOBODY} {NOBODY}")
        member.open(url, policy, "g project=acme")
        total = grants(first, 6) + grants(member, 8)
        suite.check("a member of the group shares the limits", total == 10, total)
        stranger = place.worker("c")
        stranger.must(f"become {STRANGER} {STRANGER}")
        answer = stranger.ask(f"open {url} {policy}")
        suite.check("a stranger does not", answer.error == "store_not_permitted", answer.error)


def permissions_without_root(suite: Suite) -> None:
    with Place() as place:
        policy = place.policy(requests(10))
        os.chmod(place.folder, 0o555)
        answer = place.worker("c").ask(f"open {place.url} {policy}")
        os.chmod(place.folder, 0o755)
        suite.check("a read-only folder is an error with a name",
                    answer.error == "store_not_permitted", answer.error)


def noon_zone() -> str:
    """A zone where it is about noon: no day ends while the test runs."""
    ahead = 12 - datetime.datetime.now(datetime.timezone.utc).hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "UTC"


def restarts(suite: Suite) -> None:
    """All processes end; the next go on with the day's count and the rolling window's."""
    with Place() as place:
        policy = place.policy(requests(25, "day", zone=noon_zone()),
                              {**requests(30), "name": "hour"})
        counts = []
        for number in range(4):
            workers = [place.opened(language, policy, "g project=acme") for language in LANGUAGES]
            counts.append(sum(grants(worker, 3) for worker in workers))
            for worker in workers:
                worker.quit() if number % 2 else worker.close()  # killed: every other time
        suite.check("three restarts keep the requests of the day", counts == [9, 9, 7, 0], counts)
        check_store(suite, place.store, "restarts: the store is consistent")


def foreign(suite: Suite) -> None:
    with Place() as place:
        policy = place.policy(requests(10))
        for name, content in (("empty", b""), ("text", b"not a quota\n" * 40_000)):
            path = f"{place.folder}/{name}"
            with open(path, "wb") as file:
                file.write(content)
            for language in LANGUAGES:
                answer = place.worker(language).ask(f"open file:{path} {policy}")
                suite.check(f"a foreign file ({name}) is refused by {language}",
                            answer.error == "store_foreign", answer.error)
            with open(path, "rb") as file:
                suite.check(f"and left as it is ({name})", file.read() == content)


def bounded(suite: Suite) -> None:
    """Under a limit on the size of files: an error to who would make one, and no SIGXFSZ."""
    launcher = ("prlimit", "--fsize=1000000")
    with Place() as place:
        policy = place.policy(requests(10))
        for language in LANGUAGES:
            answer = place.worker(language, launcher).ask(f"open {place.url} {policy}")
            suite.check(f"ulimit -f: {language} cannot make the file, and says why",
                        answer.error == "store_unavailable" and "RLIMIT_FSIZE" in answer.rest,
                        answer)
        suite.check("ulimit -f: no file is left", os.listdir(place.folder) == ["policy.json"])
        place.opened("c", policy).quit()
        for language in LANGUAGES:
            worker = place.worker(language, launcher).open(place.url, policy, "g project=acme")
            suite.check(f"ulimit -f: {language} shares a file that exists", grants(worker, 1) == 1)


def run(suite: Suite) -> None:
    suite.run("files: racing to make it", racing)
    suite.run("files: deleted", taken_away, "deleted")
    suite.run("files: replaced", taken_away, "replaced")
    suite.run("files: truncated", truncated)
    suite.run("files: restarts", restarts)
    suite.run("files: foreign", foreign)
    suite.run("files: bounded", bounded)
    if os.geteuid() != 0:
        for claim in ("full disk", "read-only file system", "other users"):
            suite.skip(claim, "this takes root")
        suite.run("files: permissions", permissions_without_root)
        return
    try:
        with mounted(1):
            pass
    except OSError as failure:
        suite.skip("full disk and read-only file system", str(failure))
    else:
        suite.run("files: full disk", full)
        suite.run("files: read-only file system", read_only)
    suite.run("files: other users", users)
