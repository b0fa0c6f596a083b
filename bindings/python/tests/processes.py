"""Runs functions in forked children and hands back what they return."""

from __future__ import annotations

import os
import pickle
import traceback
from typing import Any, Callable


def in_child(function: Callable[[], Any]) -> Any:
    """Forks, runs ``function`` in the child, and returns its result; fails where it raised."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            answer = pickle.dumps((True, function()))
        except BaseException:
            answer = pickle.dumps((False, traceback.format_exc()))
        with os.fdopen(writer, "wb") as stream:
            stream.write(answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with status {status}"
    succeeded, value = pickle.loads(answer)
    assert succeeded, value
    return value
