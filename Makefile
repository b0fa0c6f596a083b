# Every target installs what it misses itself (Debian packages as root; otherwise it prints the command
# to run and stops; Python tools into build/venv). What a target does stands in scripts/.
#
#   make demo      the main job: a policy replayed on a real trace, then enforced from Swift, C and Python,
#                  and by three processes that share one file; STORE=redis: a server of their own instead
#   make test      the gate: every suite that fits into ten minutes; SUITES="swift c" runs only those
#   make library   build/lib/libadmission.so
#   make install   PREFIX=/usr/local DESTDIR=
#   make wheel     build/wheel/*.whl, with the library inside
#   make bench     the benchmarks
#   make soak      every suite, in its long form: minutes to hours
#   make format    and format-check
#   make clean

SHELL := /bin/bash
PREFIX ?= /usr/local
DESTDIR ?=
TRACE ?= ../shared/traces/AzureLLMInferenceTrace_code.csv
SUITES ?=
STORE ?=

.DEFAULT_GOAL := library
.PHONY: library install demo test bench soak wheel format format-check clean

library:
	@scripts/build-library

install: library
	@scripts/install "$(PREFIX)" "$(DESTDIR)"

demo:
	@STORE="$(STORE)" scripts/demo "$(TRACE)"

test:
	@scripts/test $(SUITES)

soak:
	@ADMISSION_SOAK=1 scripts/test $(SUITES)

bench: library
	@scripts/bench

wheel: library
	@scripts/build-wheel

format:
	@scripts/format

format-check:
	@scripts/format --check

clean:
	rm -rf build .build .build-* CLI/.build Benchmarks/.build Examples/swift/.build Tests/crashes/.build
