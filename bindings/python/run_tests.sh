#!/usr/bin/env bash
# bindings/python/run_tests.sh WHEEL [PYTEST ARGUMENTS]: tests the wheel as a user has it: in a virtual
# environment of its own, outside of the checkout, with an empty environment and a PATH that has no
# Swift toolchain. Prints the path of the library that was loaded. Then the types: mypy --strict.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
wheel=$(realpath "$1")
shift
"$root/scripts/need" python-venv
python=$("$root/scripts/python")
tag=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

venv=$root/build/python-tests/$tag
tools=(pytest mypy)
if ! "$venv/bin/python" -c 'import pytest, mypy' 2>/dev/null; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "${tools[@]}" </dev/null
fi
# PyYAML in a folder of its own: the first run goes without it, the second one has it.
yaml=$venv/yaml
if [ ! -d "$yaml/yaml" ]; then
    "$venv/bin/pip" install --quiet --disable-pip-version-check --target "$yaml" PyYAML </dev/null
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel" </dev/null

away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT
cp -r "$here/tests" "$here/pyproject.toml" "$here/bench_call.py" "$away/"
cp "$here/README.md" "$away/binding-README.md"
# What the tests share with those of the other languages.
for shared in Tests/scenarios Examples/python Examples/policies include; do
    if [ -e "$root/$shared" ]; then
        mkdir -p "$away/checkout/$(dirname "$shared")"
        cp -r "$root/$shared" "$away/checkout/$shared"
    fi
done

path=$venv/bin:/usr/bin:/bin
if PATH=$path command -v swift >/dev/null; then
    echo "swift is on $path: these tests would not show that the wheel stands alone" >&2
    exit 1
fi
alone() {
    (cd "$away" && env -i PATH="$path" HOME="$away" LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
        ADMISSION_SCENARIOS="$away/checkout/Tests/scenarios/core.cases" \
        ADMISSION_TEST_CHECKOUT="$away/checkout" ADMISSION_TEST_INSTALLED="$venv" "$@")
}
alone python -c 'import admission, sys
print(f"Python {sys.version.split()[0]}, admission {admission.__version__}")
print(f"loaded {admission.library_path}")'
alone python -m pytest -q -p no:cacheprovider tests "$@"
alone env PYTHONPATH="$yaml" python -m pytest -q -p no:cacheprovider tests/test_policy_yaml.py
alone python -m mypy --strict --cache-dir "$away/mypy" -p admission
alone python -m mypy --strict --cache-dir "$away/mypy" bench_call.py tests/typed_use.py
