"""From what callers hand over as a policy to the JSON text that the library reads.

No rule of a policy document is checked here. What is: that nothing changes its meaning on the way,
such as a key that is not text, a number that JSON does not have, or YAML's octal ``010``.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Optional, Union

from ._errors import PolicyError, Status

PolicySource = Union[Mapping[str, Any], str, "os.PathLike[str]"]

_MAX_BYTES = 16_777_216
_MAX_DEPTH = 64
_MAX_NODES = 250_000
_SUFFIXES = (".json", ".yaml", ".yml")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FRACTION = re.compile(r"[-+]?[0-9]+\.[0-9]*([eE][-+][0-9]+)?")
_YAML = "tag:yaml.org,2002:"


def policy_json(policy: PolicySource) -> bytes:
    """The document as UTF-8 JSON text without NUL.

    ``policy`` is a mapping, JSON text, or a path: an ``os.PathLike``, or text that ends in
    ``.json``, ``.yaml`` or ``.yml``. Raises ``PolicyError``.
    """
    if isinstance(policy, str) and not policy.lower().endswith(_SUFFIXES):
        return _checked(policy, "policy")
    if isinstance(policy, (str, os.PathLike)):
        return _read_file(policy)
    if isinstance(policy, Mapping):
        return _checked(_dumps(_Converter().plain(policy, "", 0)), "policy")
    raise PolicyError(
        Status.INVALID_POLICY,
        f"a policy is a mapping, JSON text or a path, not {type(policy).__name__}",
    )


def watched_path(policy: PolicySource) -> Optional[bytes]:
    """The path of a JSON file, which the library reads by itself and watches; None for the rest, a
    pipe or a device among them, which holds its text but once."""
    if isinstance(policy, Mapping):
        return None
    path = os.fspath(policy)
    named = isinstance(policy, os.PathLike) or path.lower().endswith(_SUFFIXES)
    if not named or path.lower().endswith((".yaml", ".yml")) or not os.path.isfile(path):
        return None
    return os.fsencode(path)


def _read_file(policy: Union[str, os.PathLike[str]]) -> bytes:
    path = os.fspath(policy)
    if not isinstance(path, str):
        raise PolicyError(Status.POLICY_UNREADABLE, f"{path!r}: a path must be text, not bytes")
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)  # one more is what the library refuses
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise PolicyError(Status.POLICY_UNREADABLE, f"{path!r}: {reason}") from failure
    if path.lower().endswith((".yaml", ".yml")):
        return _checked(_dumps(_read_yaml(content, path)), path)
    return _checked(content, path)


def _checked(text: Union[str, bytes], source: str) -> bytes:
    """``text`` in UTF-8. A NUL would end it early on its way through C, so it is refused."""
    if isinstance(text, str):
        try:
            text = text.encode("utf-8")
        except UnicodeEncodeError as failure:
            raise PolicyError(
                Status.INVALID_UTF8, f"{source}: character {failure.start} is a lone surrogate"
            ) from failure
    position = text.find(b"\0")
    if position >= 0:
        raise PolicyError(Status.INVALID_POLICY, f"{source}: NUL at byte {position}")
    return text


def _dumps(document: object) -> str:
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False)
    except ValueError as failure:  # an int with more digits than Python prints
        raise PolicyError(Status.INVALID_POLICY, str(failure)) from failure


class _Converter:
    """Copies a document into plain dicts, lists and scalars; errors name the path."""

    def __init__(self, source: str = "") -> None:
        self.prefix = f"{source}: " if source else ""
        self.nodes = 0

    def plain(self, value: object, path: str, depth: int) -> object:
        """``value``, a Python object, as JSON knows it."""
        self.count(path, depth)
        if value is None or isinstance(value, (str, bool, int)):
            return value
        if isinstance(value, float):
            return self.finite(value, path)
        if isinstance(value, Mapping):
            result = {}
            for key, item in value.items():
                if not isinstance(key, str):
                    raise self.error(path, f"the key {key!r} is not text")
                result[key] = self.plain(item, f"{path}.{key}" if path else key, depth + 1)
            return result
        if isinstance(value, (list, tuple)):
            return [
                self.plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)
            ]
        raise self.error(path, f"a policy holds no {type(value).__name__}")

    def yaml(self, node: Any, path: str, depth: int) -> object:
        """``node``, as PyYAML composes it, as JSON knows it."""
        self.count(path, depth)
        if node.id == "scalar":
            return self.yaml_scalar(node, path)
        if node.id == "sequence":
            return [
                self.yaml(item, f"{path}[{index}]", depth + 1)
                for index, item in enumerate(node.value)
            ]
        result: dict[str, object] = {}
        for key_node, item in node.value:
            key = key_node.value
            where = f"line {key_node.start_mark.line + 1}"
            if key_node.id != "scalar" or key_node.tag != f"{_YAML}str":
                raise self.error(path, f"{where}: the key {key!r} is not text; quote it")
            if key in result:
                raise self.error(path, f"{where}: the key {key!r} is there twice")
            result[key] = self.yaml(item, f"{path}.{key}" if path else key, depth + 1)
        return result

    def yaml_scalar(self, node: Any, path: str) -> object:
        text, kind = node.value, node.tag[len(_YAML) :]
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in ("true", "yes", "on")
        if kind == "int" and _DECIMAL.fullmatch(text) and len(text) <= 4_000:
            return int(text)
        if kind == "float" and _FRACTION.fullmatch(text):
            return self.finite(float(text), path)
        # YAML 1.1 reads 010 as 8, 1:30 as 90 and 2024-01-01 as a date: better say so than guess.
        raise self.error(
            path,
            f"line {node.start_mark.line + 1}: {text!r} is neither text nor a decimal number; "
            "quote it, or write it in digits",
        )

    def finite(self, value: float, path: str) -> float:
        if not math.isfinite(value):
            raise self.error(path, f"{value} is not a number that JSON has")
        return value

    def count(self, path: str, depth: int) -> None:
        self.nodes += 1
        if depth > _MAX_DEPTH:
            raise self.error(path[:80], f"nested deeper than {_MAX_DEPTH} levels")
        if self.nodes > _MAX_NODES:
            raise self.error(path[:80], f"more than {_MAX_NODES} values (aliases count each time)")

    def error(self, path: str, message: str) -> PolicyError:
        return PolicyError(
            Status.INVALID_POLICY, f"{self.prefix}{path}{': ' if path else ''}{message}"
        )


def _read_yaml(content: bytes, path: str) -> object:
    try:
        yaml = import_module("yaml")
    except ImportError as failure:
        raise PolicyError(
            Status.POLICY_UNREADABLE,
            f"{path!r}: reading YAML needs PyYAML (pip install PyYAML); JSON needs nothing",
        ) from failure
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.YAMLError as failure:
        raise PolicyError(Status.INVALID_POLICY, f"{path!r}: {failure}") from failure
    except RecursionError as failure:
        raise PolicyError(Status.INVALID_POLICY, f"{path!r}: nested too deeply") from failure
    return None if node is None else _Converter(repr(path)).yaml(node, "", 0)
