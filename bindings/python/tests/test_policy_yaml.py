"""YAML where PyYAML is installed, and what is said where it is not."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import Open

import admission

HAS_YAML = find_spec("yaml") is not None
needs_yaml = pytest.mark.skipif(not HAS_YAML, reason="PyYAML is not installed")

TEXT = """
admission: 1
policies:
  - name: p
    match: {project: "*"}
    per: [project]
    limits:
      - {name: rpm, count: requests, limit: 3, window: 1m}
"""


def written(tmp_path: Path, text: str, name: str = "policy.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.skipif(HAS_YAML, reason="PyYAML is installed")
def test_without_pyyaml_the_error_says_what_is_needed(open_limiter: Open, tmp_path: Path) -> None:
    with pytest.raises(admission.PolicyError, match="needs PyYAML") as raised:
        open_limiter(written(tmp_path, TEXT))
    assert raised.value.name == "policy_unreadable"


@needs_yaml
@pytest.mark.parametrize("name", ["policy.yaml", "policy.yml", "POLICY.YAML"])
def test_yaml_gives_the_same_policy_as_json(open_limiter: Open, tmp_path: Path, name: str) -> None:
    path = written(tmp_path, TEXT, name)
    limiter = open_limiter(str(path))
    gate = limiter.gate(project="acme")
    assert gate.try_charge(3).limit_name == "rpm"
    assert not gate.try_charge()
    limiter.reload(path)
    assert not gate.try_charge()


@needs_yaml
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("limit: 3", "limit: 3, limit: 4", "line 8: the key 'limit' is there twice"),
        ("admission: 1", "admission: 1\nadmission: 1", "line 3: the key 'admission' is there"),
        ("limit: 3", "limit: 010", "'010' is neither text nor a decimal number"),
        ("limit: 3", "limit: 0x10", "'0x10' is neither"),
        ("limit: 3", "limit: 1:30", "'1:30' is neither"),
        ("limit: 3", "limit: 1_000", "'1_000' is neither"),
        ("name: p", "name: 2026-01-01", "'2026-01-01' is neither"),
        ("name: p", "1: p", "the key '1' is not text"),
        ("name: p", "on: p", "the key 'on' is not text"),
        ("name: p", "<<: {name: p}", "the key '<<' is not text"),
        ("limit: 3", "limit: .inf", "'.inf' is neither"),
        ("limit: 3", "limit: 1.0e+999", "inf is not a number that JSON has"),
        ("name: p", "name: [", "while parsing"),
        ("name: p", "name: &a [*a]", "nested deeper"),
        ("admission: 1", "admission: 1\n---\nadmission: 1", "single document"),
    ],
)
def test_what_yaml_would_change_silently_is_refused(
    open_limiter: Open, tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = written(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(admission.PolicyError) as raised:
        open_limiter(path)
    assert raised.value.name == "invalid_policy"
    assert message in raised.value.message
    assert str(path) in raised.value.message


@needs_yaml
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: p", "name: no"),  # a bool
        ("name: p", "name: 17"),
        ("name: p", "name: 1.5"),
        ("name: p", "name: ~"),
        ("limit: 3", "limit: 3.0"),
        ("limit: 3", 'limit: "3"'),
        ("admission: 1", "admission: yes"),
    ],
)
def test_scalars_of_another_kind_reach_the_core_which_reports_them(
    open_limiter: Open, tmp_path: Path, old: str, new: str
) -> None:
    with pytest.raises(admission.PolicyError) as raised:
        open_limiter(written(tmp_path, TEXT.replace(old, new, 1)))
    assert raised.value.name == "invalid_policy"
    assert "policies[0]" in raised.value.message or "admission" in raised.value.message


@needs_yaml
def test_empty_and_damaged_files_are_refused(open_limiter: Open, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    for content in (b"", b"\xff\xfe\xff", b"a: \x00", b"- " * 5_000):
        path.write_bytes(content)
        with pytest.raises(admission.PolicyError):
            open_limiter(path)


@needs_yaml
def test_aliases_that_grow_without_end_are_refused(open_limiter: Open, tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(admission.PolicyError, match="more than 250000 values"):
        open_limiter(written(tmp_path, "\n".join(lines)))
