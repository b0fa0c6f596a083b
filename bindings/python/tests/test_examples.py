"""The examples that people read, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typed_use

import admission


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_typed_use_does_what_it_says() -> None:
    assert typed_use.main() == ["SETTLED", "exhausted True"]


def test_the_readme_of_the_package_runs(capsys: pytest.CaptureFixture[str]) -> None:
    here = Path(__file__).resolve().parents[1]
    readme = here / "binding-README.md"
    text = (readme if readme.exists() else here / "README.md").read_text()
    (block,) = python_blocks(text)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert capsys.readouterr().out == "admitted: chat/parallel, 3 of 4 left\n"


def test_the_docstring_of_the_package_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document = '{"admission": 1, "policies": [{"name": "p", "limits": []}]}'
    limit = '{"name": "rpm", "count": "requests", "limit": 2, "window": "1m"}'
    Path("policy.json").write_text(document.replace("[]", f"[{limit}]"))
    text = admission.__doc__ or ""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    exec(compile("\n".join(lines), "__doc__", "exec"), {})


def test_the_live_example_enforces_the_policy(checkout: Path) -> None:
    example = checkout / "Examples" / "python" / "live.py"
    if not (checkout / "Examples" / "policies").exists():
        pytest.skip("no Examples/policies beside the package")
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert len(shown) == 21
    assert "admitted" in shown[1] and "again in" in shown[19] and "again never" in shown[20]
