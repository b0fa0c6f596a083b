"""What stands between workers and a server: it slows replies down, cuts them short, or spoils them."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from typing import Optional, TypeVar

Listening = TypeVar("Listening", bound="Listener")


class Listener:
    """A free port on loopback; each connection goes to ``serve``, until its ``with`` block is left."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.serve(near)

    def serve(self, near: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self: Listening) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Proxy(Listener):
    """Relays connections to a port on loopback, until its ``with`` block is left.

    ``delay_seconds``: so much later come replies, those that follow at once included.
    ``cut_next(n)``: of the replies from now on, n bytes come through, and the connections end.
    ``cut_asking(n)``: of what is asked from now on, n bytes come through, and the connections end.
    ``spoil_next(bytes)``: the next reply is this instead.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.delay_seconds = 0.0
        self.lock = threading.Lock()
        self.cut_after: Optional[int] = None
        self.ask_cut_after: Optional[int] = None
        self.spoiled: Optional[bytes] = None
        self.pairs: set[tuple[socket.socket, socket.socket]] = set()
        super().__init__()

    def serve(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            near.close()
            return
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (near, far)
        with self.lock:
            self.pairs.add(pair)
        replies: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        for work in (self.ask, self.hear, self.tell):
            threading.Thread(target=work, args=(pair, replies), daemon=True).start()

    def ask(self, pair: tuple[socket.socket, socket.socket], _: object) -> None:
        near, far = pair
        with contextlib.suppress(OSError):
            while piece := near.recv(65_536):
                with self.lock:
                    is_cut = self.ask_cut_after is not None
                    if self.ask_cut_after is not None:
                        piece, self.ask_cut_after = piece[: self.ask_cut_after], None
                if piece:
                    far.sendall(piece)
                if is_cut:
                    # The rest of the way stays open: the server hears the end of what it got.
                    near.shutdown(socket.SHUT_RDWR)
                    far.shutdown(socket.SHUT_WR)
                    return
        self.end(pair)

    def hear(
        self, pair: tuple[socket.socket, socket.socket],
        replies: queue.SimpleQueue[tuple[float, bytes]],
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := pair[1].recv(65_536):
                replies.put((time.monotonic() + self.delay_seconds, piece))
        replies.put((0.0, b""))

    def tell(
        self, pair: tuple[socket.socket, socket.socket],
        replies: queue.SimpleQueue[tuple[float, bytes]],
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                at, piece = replies.get()
                if not piece:
                    break
                if (wait := at - time.monotonic()) > 0:
                    time.sleep(wait)
                with self.lock:
                    if self.spoiled is not None:
                        piece, self.spoiled = self.spoiled, None
                    is_cut = self.cut_after is not None and len(piece) >= self.cut_after
                    if self.cut_after is not None:
                        piece = piece[: self.cut_after]
                        self.cut_after = None if is_cut else self.cut_after - len(piece)
                if piece:
                    pair[0].sendall(piece)
                if is_cut:
                    break
        self.end(pair)

    def end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self.lock:
            self.pairs.discard(pair)
        for side in pair:
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()

    def cut_next(self, count: int) -> None:
        with self.lock:
            self.cut_after = count

    def cut_asking(self, count: int) -> None:
        with self.lock:
            self.ask_cut_after = count

    def spoil_next(self, reply: bytes) -> None:
        with self.lock:
            self.spoiled = reply

    def close(self) -> None:
        super().close()
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            self.end(pair)


class Babbler(Listener):
    """A server that answers whatever comes with the same bytes, and then says nothing or ends."""

    def __init__(self, reply: bytes, ends: bool = False) -> None:
        self.reply, self.ends = reply, ends
        super().__init__()

    def serve(self, near: socket.socket) -> None:
        threading.Thread(target=self.babble, args=(near,), daemon=True).start()

    def babble(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near:
            while near.recv(65_536):
                near.sendall(self.reply)
                if self.ends:
                    return
