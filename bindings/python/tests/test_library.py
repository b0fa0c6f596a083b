"""Which library is loaded, and what is said when none can be."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import admission
from admission import _bindings, _library


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_library_of_the_installed_wheel_is_loaded() -> None:
    installed = os.environ.get("ADMISSION_TEST_INSTALLED")
    if installed is None:
        pytest.skip("not run through run_tests.sh")
    assert "ADMISSION_LIBRARY" not in os.environ
    package = Path(admission.__file__).resolve().parent
    assert package.is_relative_to(Path(installed).resolve())
    assert Path(admission.library_path) == package / _library.FILE_NAME


def test_the_variable_names_the_library_and_nothing_else_is_tried() -> None:
    library = admission.library_path
    shown = run("import admission; print(admission.library_path)", ADMISSION_LIBRARY=library)
    assert shown.stdout.strip() == os.path.realpath(library)
    missing = run("import admission", ADMISSION_LIBRARY="/nowhere/libadmission.so")
    assert missing.returncode != 0
    assert "ADMISSION_LIBRARY=/nowhere/libadmission.so: can't be loaded" in missing.stderr


def test_a_library_of_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMISSION_LIBRARY", "libm.so.6")
    with pytest.raises(admission.LibraryError, match="is no libadmission"):
        _library.load()


def test_another_interface_version_is_refused_and_says_which_side_is_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADMISSION_LIBRARY", admission.library_path)
    monkeypatch.setattr(_library, "ABI_VERSION", 99)
    with pytest.raises(admission.LibraryError, match="needs 99; the library is too old"):
        _library.load()
    monkeypatch.setattr(_library, "ABI_VERSION", -1)
    with pytest.raises(admission.LibraryError, match="the Python package is too old"):
        _library.load()


def test_what_was_tried_is_named_when_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ADMISSION_LIBRARY", raising=False)
    monkeypatch.setattr(_library, "FILE_NAME", "libadmission.so.none")
    monkeypatch.setattr(_library, "__file__", str(tmp_path / "a/b/c/d/admission/_library.py"))
    with pytest.raises(admission.LibraryError) as raised:
        _library.load()
    assert f"{tmp_path}/a/b/c/d/admission/libadmission.so.none: no such file" in str(raised.value)
    assert "the system's libadmission.so.none: can't be loaded" in str(raised.value)
    assert "build/lib" not in str(raised.value)
    (tmp_path / "a" / "include").mkdir(parents=True)
    (tmp_path / "a" / "include" / "admission.h").touch()
    with pytest.raises(admission.LibraryError, match="a/build/lib/libadmission.so.none: no such"):
        _library.load()


def test_structs_have_the_sizes_that_the_header_states(checkout: Path) -> None:
    header = (checkout / "include" / "admission.h").read_text()
    sizes = dict(re.findall(r"#define ADMISSION_(\w+)_SIZE_1 (\d+)", header))
    structs = ("OPTIONS", "COUNT", "COST", "USAGE", "DECISION")
    for name in structs:
        struct = getattr(_bindings, name.capitalize())
        assert ctypes.sizeof(struct) == int(sizes[name]), name


def test_struct_fields_stand_in_the_headers_order(checkout: Path) -> None:
    header = (checkout / "include" / "admission.h").read_text()
    for name in ("options", "attribute", "count", "cost", "usage", "decision"):
        body = re.search(rf"typedef struct admission_{name} {{(.*?)}}", header, re.DOTALL)
        assert body is not None, name
        fields = re.findall(r"(\w+);", re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL))
        assert fields == [field[0] for field in getattr(_bindings, name.capitalize())._fields_]


def test_statuses_are_the_headers(checkout: Path) -> None:
    header = (checkout / "include" / "admission.h").read_text()
    stated = {name: int(number) for name, number in re.findall(r"ADMISSION_E_(\w+) (\d+)", header)}
    assert stated == {each.name: each.value for each in admission.Status if each.name != "OK"}
    for name, number in stated.items():
        assert _bindings.status_name(number).decode() == name.lower()


def test_versions_of_header_library_and_package_agree(checkout: Path) -> None:
    header = (checkout / "include" / "admission.h").read_text()
    stated = re.search(r'ADMISSION_VERSION_STRING "(.*)"', header)
    assert stated is not None and admission.__version__ == stated[1]
    if "ADMISSION_TEST_INSTALLED" in os.environ:
        assert metadata.version("admission-control") == stated[1]
        assert metadata.requires("admission-control") == ['PyYAML>=5.1; extra == "yaml"']


def test_every_public_name_is_documented_and_exported() -> None:
    for name in admission.__all__:
        value = getattr(admission, name)
        if isinstance(value, type):
            assert value.__doc__, name
            for member, attribute in vars(value).items():
                if not member.startswith("_") and callable(attribute):
                    assert attribute.__doc__, f"{name}.{member}"
