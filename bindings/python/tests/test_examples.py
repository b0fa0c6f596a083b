"""The examples that people read, run as they stand."""

from __future__ import annotations

import re
import runpy
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
    assert capsys.readouterr().out == "admitted: chat/rpm, 8 of 10 left\n"


def test_the_readme_of_the_project_runs(checkout: Path, tmp_path: Path) -> None:
    readme = checkout / "README.md"
    if not readme.exists():
        pytest.skip("no README.md beside the package")
    blocks = python_blocks(readme.read_text())
    assert blocks
    for block in blocks:
        assert len(block.splitlines()) <= 15
        script = tmp_path / "example.py"
        script.write_text(block)
        # The examples name files by their place in the checkout.
        done = subprocess.run(
            [sys.executable, str(script)], cwd=checkout, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


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


def test_the_demonstration_enforces_the_policy(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = checkout / "Examples" / "python" / "demo.py"
    if not (checkout / "Examples" / "policies").exists():
        pytest.skip("no Examples/policies beside the package")
    runpy.run_path(str(demo), run_name="__main__")
    shown = capsys.readouterr().out
    assert "admitted" in shown and "rejected" in shown
