"""Policies as mappings, JSON text and paths; nothing changes its meaning on the way."""

from __future__ import annotations

import json
import math
import os
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import Open, policy, requests

import admission

DOCUMENT = policy(requests(3))


def test_mapping_text_and_path_give_the_same_policy(open_limiter: Open, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(DOCUMENT))
    odd = tmp_path / "no suffix"
    odd.write_text(json.dumps(DOCUMENT, indent=4))
    hashes = {
        open_limiter(source).snapshot()["policy_hash"]
        for source in (DOCUMENT, json.dumps(DOCUMENT), path, str(path), odd)
    }
    assert len(hashes) == 1


def test_tuples_are_lists_and_text_keeps_its_characters(open_limiter: Open) -> None:
    document = {"admission": 1, "policies": ({"name": "größe 日本", "limits": (requests(),)},)}
    assert open_limiter(document).gate().try_acquire().policy_name == "größe 日本"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({1: "x"}, "the key 1 is not text"),
        ({"policies": [{True: 1}]}, r"policies\[0\]: the key True is not text"),
        ({"a": math.nan}, "a: nan is not a number that JSON has"),
        ({"a": {"b": -math.inf}}, r"a\.b: -inf is not"),
        ({"a": [b"x"]}, r"a\[0\]: a policy holds no bytes"),
        ({"a": date(2026, 1, 1)}, "a: a policy holds no date"),
        ({"a": 10**5_000}, "digits"),
        (17, "not int"),
        (None, "not NoneType"),
        (b"{}", "not bytes"),
    ],
)
def test_what_json_does_not_have_is_named(open_limiter: Open, document: Any, text: str) -> None:
    with pytest.raises(admission.PolicyError, match=text) as raised:
        open_limiter(document)
    assert raised.value.code == admission.Status.INVALID_POLICY


def test_a_document_that_holds_itself_is_refused(open_limiter: Open) -> None:
    document: dict[str, Any] = {}
    document["a"] = document
    with pytest.raises(admission.PolicyError, match="nested deeper than 64 levels"):
        open_limiter(document)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_policy"),
        ("{", "invalid_policy"),
        ('{"admission": 1, "admission": 1, "policies": []}', "invalid_policy"),
        ('{"admission": 1.0, "policies": []}', "invalid_policy"),
        ('{"admission": 1}\0', "invalid_policy"),
        ('{"admission": "\ud800"}', "invalid_utf8"),
        ('{"admission": 1, "policies": [], "surplus": 0}', "invalid_policy"),
        (json.dumps(policy({**requests(), "window": "1d"})), "invalid_policy"),
        (json.dumps(policy({**requests(), "window": "day", "zone": "PST9"})), "zone_unavailable"),
    ],
)
def test_bad_text_raises_the_named_error(open_limiter: Open, text: str, code: str) -> None:
    with pytest.raises(admission.PolicyError if code != "invalid_utf8" else ValueError) as raised:
        open_limiter(text)
    assert isinstance(raised.value, admission.AdmissionError)
    assert raised.value.name == code
    assert raised.value.message


def test_files_that_cannot_be_read_are_named(open_limiter: Open, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path, str(tmp_path / "nul\0.json")):
        with pytest.raises(admission.PolicyError) as raised:
            open_limiter(path)
        assert raised.value.code == admission.Status.POLICY_UNREADABLE
        assert repr(str(path)) in raised.value.message


def test_bytes_that_are_not_utf8_are_refused(open_limiter: Open, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(b'{"admission": 1, "policies": [{"name": "\xff"}]}')
    with pytest.raises(admission.AdmissionError):
        open_limiter(path)


def test_an_error_of_a_reload_changes_nothing(open_limiter: Open) -> None:
    limiter = open_limiter(DOCUMENT)
    gate = limiter.gate()
    gate.try_charge(2)
    with pytest.raises(admission.PolicyError):
        limiter.reload({"admission": 1, "policies": [{"name": "p", "limits": [{"name": "x"}]}]})
    assert gate.try_charge().remaining == 0
    assert [event["kind"] for event in limiter.events()] == ["reload_refused"]


def test_a_reload_keeps_what_was_used(open_limiter: Open, tmp_path: Path) -> None:
    limiter = open_limiter(DOCUMENT)
    gate = limiter.gate()
    gate.try_charge(2)
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(policy(requests(30))))
    limiter.reload(path)
    decision = gate.try_charge()
    assert (decision.limit, decision.remaining) == (30, 27)


def test_a_json_file_is_watched_and_a_broken_edit_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"

    def write(text: str) -> None:
        new = tmp_path / "new"
        new.write_text(text)
        new.replace(path)

    def burst() -> int:
        limit: int = gate.explain()["limits"][0]["capacity"]
        return limit

    def document(size: int) -> str:
        return json.dumps(
            {"admission": 1, "policies": [{"name": "p", "limits": [
                {"name": "b", "count": "requests", "rate": "1/s", "burst": size}]}]}
        )

    write(document(5))
    with admission.Limiter(path, "memory:", clock="manual") as limiter:
        gate = limiter.gate()
        assert burst() == 5
        write(document(7))
        limiter.advance(1_000_000_000)
        assert burst() == 7
        write("{")
        for _ in range(3):
            limiter.advance(1_000_000_000)
        assert burst() == 7
        assert limiter.snapshot()["policy_broken"]
        assert "admission_policy_broken 1\n" in limiter.metrics()
        assert [event["kind"] for event in limiter.events()][-1] == "policy_broken"
        write(document(9))
        limiter.advance(1_000_000_000)
        assert burst() == 9 and not limiter.snapshot()["policy_broken"]
        assert "admission_policy_broken 0\n" in limiter.metrics()
        kinds = [event["kind"] for event in limiter.events()]
        assert kinds[-3:] == ["policy_broken", "loaded", "policy_mended"], kinds


def test_a_pipe_is_read_once_and_not_watched(tmp_path: Path) -> None:
    pipe = tmp_path / "policy.json"
    os.mkfifo(pipe)
    document = json.dumps(policy(requests(5)))
    writer = threading.Thread(target=pipe.write_text, args=(document,), daemon=True)
    writer.start()
    with admission.Limiter(pipe, "memory:", clock="manual") as limiter:
        writer.join()
        for _ in range(3):
            limiter.advance(1_000_000_000)
        assert limiter.gate().try_charge().limit == 5
        assert not limiter.snapshot()["policy_broken"]


def test_a_device_without_an_end_is_no_policy() -> None:
    with pytest.raises(admission.PolicyError):
        admission.Limiter(Path("/dev/zero"), "memory:")
