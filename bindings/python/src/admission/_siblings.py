"""Warns a process that counts in memory beside processes that do the same: N times the limit.

Each process that opens ``memory:`` on the system clock marks two groups for that policy: the one
of its parent's children, which it belongs to, and the one of its own children. A group that
another process marked before means that a sibling, the parent or a child counts by itself: the
worker processes of a server that each open a limiter after fork or spawn, say. A limiter opened
before the fork is shared and marks nothing again.

A mark is a bound Unix socket with an abstract name: it needs no file, nobody can connect to it, and
the kernel removes it with the process. So this works on Linux alone, among processes with the same
parent (or a parent and its children), the same user and network namespace, for the same policy
document. Processes that are started apart from each other, and those of other hosts, are not seen.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import warnings

_MESSAGE = (
    "another process, with the same parent or a parent of this one, has opened 'memory:' with the "
    "same policy: each counts by itself, so N of them admit N times the limits. Open the limiter "
    "before forking, or use a store that they share."
)


class _Registry:
    """The marks of this process, and how many limiters hold each."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held: dict[str, tuple[socket.socket, int]] = {}
        self.has_warned = False

    def take(self, name: str) -> bool:
        """Sets a mark, or counts it once more. False: another process has set it."""
        with self.lock:
            mark, count = self.held.get(name, (None, 0))
            if mark is None:
                mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                try:
                    mark.bind(name)
                except OSError as failure:
                    mark.close()
                    if failure.errno == errno.EADDRINUSE:
                        return False
                    raise
            self.held[name] = (mark, count + 1)
            return True

    def give_back(self, name: str) -> None:
        with self.lock:
            mark, count = self.held.pop(name, (None, 0))
            if mark is not None and count > 1:
                self.held[name] = (mark, count - 1)
            elif mark is not None:
                mark.close()

    def forget(self) -> None:
        """In a forked child: the marks are the parent's, and so was whoever held the lock."""
        self.lock = threading.Lock()
        for mark, _ in self.held.values():
            mark.close()
        self.held.clear()
        self.has_warned = False


_registry = _Registry()
os.register_at_fork(after_in_child=_registry.forget)


class Marks:
    """The marks that one limiter holds."""

    def __init__(self) -> None:
        self._registry = _registry
        self._names: list[str] = []

    def set(self, policy_hash: str) -> None:
        """Marks both groups; warns, once in a process, where another process had marked one."""
        if not sys.platform.startswith("linux"):
            return
        for group in (os.getppid(), os.getpid()):
            name = f"\0admission-memory/{os.geteuid()}/{group}/{policy_hash}"
            try:
                is_ours = self._registry.take(name)
            except OSError:  # no Unix sockets here: nothing can be found out
                return
            if is_ours:
                self._names.append(name)
            elif not self._registry.has_warned:
                self._registry.has_warned = True
                warnings.warn(_MESSAGE, RuntimeWarning, stacklevel=3)

    def clear(self) -> None:
        """Takes the marks away."""
        while self._names:
            self._registry.give_back(self._names.pop())
