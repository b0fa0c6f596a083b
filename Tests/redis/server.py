"""A Redis server of our own, on a free loopback port, that keeps nothing."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from typing import Optional

import redis


class Server:
    """Started by ``with``; ended by its process when the block is left."""

    def __init__(self, *options: str) -> None:
        self.options = options
        self.directory = ""
        self.port = 0
        self.process: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self) -> "Server":
        self.directory = tempfile.mkdtemp(prefix="admission-redis-")
        # A port that is free now can be taken before the server binds it: then another is tried.
        for _ in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                 "--appendonly", "no", "--dir", self.directory, *self.options],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            if self._answers():
                return self
            self.process.wait()
        raise RuntimeError("redis-server does not start")

    def _answers(self) -> bool:
        deadline = time.monotonic() + 20
        while self.process is not None and self.process.poll() is None:
            try:
                return bool(self.connect().ping())
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
        return False

    def connect(self) -> "redis.Redis":
        return redis.Redis(host="127.0.0.1", port=self.port)

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
