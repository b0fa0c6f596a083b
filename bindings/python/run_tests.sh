#!/usr/bin/env bash
# bindings/python/run_tests.sh WHEEL [PYTEST ARGUMENTS]: tests the wheel as a user has it: in a virtual
# environment of its own, outside of the checkout, with no variables but these and a PATH that holds that
# environment alone, so no Swift toolchain. Prints the path of the library that was loaded. Then the types: mypy --strict.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
wheel=$(realpath "$1")
shift
version=$("$("$root/scripts/python")" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
python=$("$root/scripts/venv" "python-tests/$version" pytest mypy)
venv=$(dirname "$(dirname "$python")")
install=("$python" -m pip install --quiet --disable-pip-version-check --no-input)
# PyYAML in a folder of its own, since one test is about its absence.
yaml=$venv/yaml
[ -d "$yaml/yaml" ] || "${install[@]}" --target "$yaml" PyYAML </dev/null
"${install[@]}" --no-index --no-deps --force-reinstall "$wheel" </dev/null

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

path=$venv/bin
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
without=tests/test_policy_yaml.py::test_without_pyyaml_the_error_says_what_is_needed
alone PYTHONPATH="$yaml" python -m pytest -q -p no:cacheprovider --deselect "$without" tests "$@"
alone python -m pytest -q -p no:cacheprovider "$without"
# The scenarios again, each on a file of its own.
mkdir "$away/stores"
alone ADMISSION_TEST_DIRECTORY="$away/stores" python -m pytest -q -p no:cacheprovider \
    tests/test_scenarios.py
alone python -m mypy --strict --cache-dir "$away/mypy" -p admission
alone python -m mypy --strict --cache-dir "$away/mypy" bench_call.py tests/typed_use.py
