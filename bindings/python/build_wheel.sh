#!/usr/bin/env bash
# bindings/python/build_wheel.sh [LIBRARY [OUTPUT]]: builds OUTPUT/admission_control-*.whl, the package
# with the library inside. Defaults: build/lib/libadmission.so.N and build/wheel of the checkout.
#
# The platform's tag follows from the library: the glibc that it needs, and its processor. It may
# stand in a manylinux tag because it needs nothing but libc, libm, libgcc_s, libstdc++ and the loader,
# which is checked here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
abi=$(sed -n 's/^#define ADMISSION_ABI_VERSION \([0-9]*\).*/\1/p' "$root/include/admission.h")
library=$(realpath "${1:-$root/build/lib/libadmission.so.$abi}")
output=$(realpath -m "${2:-$root/build/wheel}")
"$root/scripts/need" binutils
python=$("$root/scripts/venv" wheel-venv 'setuptools>=77')

foreign=$(objdump -p "$library" | awk '$1 == "NEEDED" { print $2 }' \
    | grep -Ev '^(libc\.so\.6|libm\.so\.6|libgcc_s\.so\.1|libstdc\+\+\.so\.6|ld-linux.*)$' || true)
if [ -n "$foreign" ]; then
    echo "$library needs more than a wheel may expect of a system: $foreign" >&2
    exit 1
fi
glibc=$(objdump -T "$library" | grep -o 'GLIBC_2\.[0-9]*' | sort -V | tail -1)
glibc_minor=${glibc#GLIBC_2.}
# Below 2.17, the oldest that a manylinux tag is used for today, older libraries run on newer systems.
platform=manylinux_2_$((glibc_minor < 17 ? 17 : glibc_minor))_$(uname -m)

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -r "$here/src" "$here/pyproject.toml" "$here/setup.py" "$here/README.md" "$stage/"
find "$stage" -name __pycache__ -prune -exec rm -rf {} +
rm -rf "$stage"/src/*.egg-info
install -m 755 "$library" "$stage/src/admission/libadmission.so.$abi"
mkdir -p "$output"
rm -f "$output"/admission_control-*.whl
ADMISSION_WHEEL_PLATFORM=$platform "$python" -m pip wheel --quiet --disable-pip-version-check \
    --no-build-isolation --no-deps --wheel-dir "$output" "$stage" </dev/null
ls "$output"/admission_control-*.whl
