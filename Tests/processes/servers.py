"""A Redis server of a part's own, on a free loopback port, with nothing on disk; and a plain client that
looks into it.

servers.py COMMAND …: runs a command with a server of its own, whose URL is ADMISSION_TEST_REDIS there, and which
has a database for each test.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Optional, Union

Reply = Union[bytes, int, None, list[Any]]
START_SECONDS = 20.0


class ServerError(Exception):
    """What the server answered instead."""


class Client:
    """One connection, one call at a time."""

    def __init__(self, port: int, password: Optional[str] = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS)
        self.replies = self.socket.makefile("rb")
        if password is not None:
            self("AUTH", password)

    def __call__(self, *words: Union[str, bytes, int]) -> Any:
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(
            b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        reply = self.read()
        if isinstance(reply, ServerError):
            raise reply
        return reply

    def read(self) -> Union[Reply, ServerError]:
        line = self.replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server is gone")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return ServerError(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        count = int(rest)
        if count < 0:
            return None
        if kind == b"$":
            return self.replies.read(count + 2)[:-2]
        return [self.read() for _ in range(count)]

    def keys(self, pattern: str = "*") -> list[bytes]:
        found: list[bytes] = []
        cursor = b"0"
        while True:
            cursor, names = self("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found += names
            if cursor == b"0":
                return sorted(set(found))

    def close(self) -> None:
        self.replies.close()
        self.socket.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Started by ``with``, and ended by its process when the block is left, or its driver dies."""

    def __init__(self, *options: str, password: Optional[str] = None) -> None:
        self.options = list(options)
        self.password = password
        if password is not None:
            self.options += ["--requirepass", password]
        self.folder = tempfile.mkdtemp(prefix="admission-redis-")
        self.port = 0
        self.process: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self) -> Server:
        # A port that is free now may be taken before the server has it.
        for _ in range(5):
            if self.start(free_port()):
                return self
        raise RuntimeError("redis-server does not start")

    def start(self, port: int) -> bool:
        self.port = port
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "redis-server", "--port", str(port),
             "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.folder,
             *self.options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                client = self.client()
                client("PING")
                client.close()
                return True
            except (OSError, ServerError):
                time.sleep(0.01)
        self.kill()
        return False

    def restart(self) -> None:
        """At the same port, with nothing."""
        self.kill()
        if not self.start(self.port):
            raise RuntimeError(f"redis-server does not start again at {self.port}")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def client(self) -> Client:
        return Client(self.port, self.password)

    @property
    def version(self) -> str:
        client = self.client()
        information = client("INFO", "server").decode()
        client.close()
        return information.partition("redis_version:")[2].split()[0]

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """By way of another port: a proxy's."""
        login = f":{self.password}@" if self.password is not None else ""
        return f"redis://{login}127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


if __name__ == "__main__":
    with Server("--databases", "100000") as running:
        variables = {**os.environ, "ADMISSION_TEST_REDIS": running.url}
        sys.exit(subprocess.run(sys.argv[1:], env=variables).returncode)
