#!/usr/bin/env python3
"""Tests the built command from outside: what it prints, where, and how it ends.

    swift build -c release --package-path CLI --product admission
    python3 CLI/test.py [CLI/.build/release/admission]

Needs Python, and for the tests of stores the library: make library. Ends with a line of counts, and with 1 when a test failed.
"""

import json
import subprocess
import sys

from harness import COMMAND, ROOT, WORK, main, on_terminal, run, test, write

POLICIES = ROOT / "Examples/policies"
GEMINI = str(POLICIES / "gemini.yaml")
CALLER = ["-a", "provider=gemini", "-a", "model=gemini-2.5-flash", "-a", "project=acme"]
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"


def policy(limits, **more):
    return json.dumps({"admission": 1, "policies": [{"name": "p", "limits": limits, **more}]})


RPM = {"name": "rpm", "count": "requests", "limit": 2, "window": "1m"}


# -- Help and arguments


@test
def help_of_each_command_has_an_example():
    for command in ([], ["simulate"], ["check"], ["explain"], ["inspect"], ["reset"]):
        output = run(*command, "--help").stdout
        assert "Example:" in output and "USAGE: admission" in output, output
        assert "  admission " + " ".join(command) in output, output
    assert "Exit codes:" in run("--help").stdout
    header = (ROOT / "include/admission.h").read_text()
    version = header.split('ADMISSION_VERSION_STRING "')[1].split('"')[0]
    assert run("--version").stdout == f"admission {version}\n"


@test
def arguments_that_make_no_sense_end_with_2_and_leave_standard_output_empty():
    for arguments in (
        ["frobnicate"],
        ["check"],
        ["simulate"],
        ["simulate", GEMINI, "--trace", "x", "--seed", "1"],
        ["simulate", GEMINI, "--seed", "-1"],
        ["simulate", GEMINI, "--expect-output", "-1"],
        ["simulate", GEMINI, "--token-ms", "3600001"],
        ["simulate", GEMINI, "-a", "project"],
        ["simulate", GEMINI, "-a", "=x"],
        ["explain", GEMINI, "-a", "a=1", "-a", "a=2"],
        ["explain", GEMINI, "--count", "images=many"],
        ["explain", GEMINI, "--input-tokens", "1.5"],
    ):
        assert run(*arguments, code=2).stdout == "", arguments


# -- check


@test
def check_accepts_every_example_and_both_spellings_are_one_policy():
    for name in ("gemini", "gemini-live"):
        both = [str(POLICIES / f"{name}.{end}") for end in ("yaml", "json")]
        assert run("check", *both).stdout.count("ok ") == 2
        files = json.loads(run("check", "--json", *both).stdout)["files"]
        assert files[0]["policy_hash"] == files[1]["policy_hash"], files


@test
def check_reports_every_file_with_the_place_of_the_fault_and_ends_with_1():
    good = write("good.json", policy([RPM]))
    bad = write("bad.json", policy([{**RPM, "window": "1d"}]))
    yaml = write(
        "bad.yaml",
        "admission: 1\npolicies:\n  - name: p\n    limits:\n"
        "      - {name: rpd, count: requests, limit: 9, window: day, zone: PST9}\n",
    )
    done = run("check", bad, good, yaml, code=1)
    assert f"ok {good}: 1 policy, 1 limit\n" in done.stdout, done.stdout
    assert f"{bad}:1:" in done.stderr and "policies[0].limits[0].window" in done.stderr, done.stderr
    assert f"{yaml}:5:" in done.stderr and "policies[0].limits[0].zone" in done.stderr, done.stderr
    assert '"PST9"' in done.stderr, done.stderr
    files = json.loads(run("check", "--json", bad, good, yaml, code=1).stdout)["files"]
    assert [file["valid"] for file in files] == [False, True, False]
    assert files[2]["error"]["line"] == 5 and files[2]["error"]["path"].endswith(".zone"), files


@test
def check_ends_with_3_for_a_file_that_cannot_be_read_and_1_where_another_is_invalid():
    missing = str(WORK / "missing.yaml")
    assert "there is no such file" in run("check", missing, code=3).stderr
    assert "is a directory" in run("check", str(WORK), code=3).stderr
    bad = write("not.json", "{")
    for files in ([missing, bad], [bad, missing]):
        run("check", *files, code=1)


@test
def check_prints_what_applies_to_a_call():
    output = run("check", GEMINI, *CALLER).stdout
    assert "gemini/tier-1 · rpm" in output and "500 requests in any 1m" in output, output
    assert "8,000 requests each day (America/Los_Angeles)" in output, output
    assert "project=acme" in output, output
    assert "no policy applies" in run("check", GEMINI, "-a", "provider=other").stdout
    done = run("check", GEMINI, "-a", "provider=gemini", "-a", "model=x", code=1)
    assert "project" in done.stderr, done.stderr


# -- YAML


def fault_of_yaml(text):
    return run("check", write("case.yaml", text), code=1).stderr


def yaml_limit(limit):
    return f"admission: 1\npolicies: [{{name: p, limits: [{{{limit}}}]}}]\n"


@test
def yaml_keeps_the_type_of_a_scalar():
    limit = "name: l, count: requests, limit: {}, window: 1m"
    for number in ("10", "1_0", "+10", "0xA", "!!int 10"):
        run("check", write("case.yaml", yaml_limit(limit.format(number))))
    for other in ('"10"', "1.5", "yes", "null", "!!str 10"):
        assert "policies[0].limits[0].limit" in fault_of_yaml(yaml_limit(limit.format(other))), other
    for name in ("5", "true", "no", "~", "1.0"):
        text = f"admission: 1\npolicies: [{{name: {name}, limits: [{{{limit.format(1)}}}]}}]\n"
        assert "policies[0].name" in fault_of_yaml(text), name
    for name in ('"5"', "'no'", "2024-08-06", "5 apples", "!!str 5"):
        text = f"admission: 1\npolicies: [{{name: {name}, limits: [{{{limit.format(1)}}}]}}]\n"
        run("check", write("case.yaml", text))


@test
def yaml_refuses_what_its_readers_disagree_about():
    for scalar in ("010", "0b11", "0o17", "1:30", "1e3", ".inf", ".nan"):
        limit = f"name: l, count: requests, limit: {scalar}, window: 1m"
        fault = fault_of_yaml(yaml_limit(limit))
        assert "case.yaml:2:" in fault and scalar in fault, fault
    assert "tag" in fault_of_yaml("admission: !custom 1\n")
    assert "tag" in fault_of_yaml("!custom {admission: 1}\n")
    assert "merge" in fault_of_yaml("base: &b {a: 1}\nadmission: 1\nmore: {<<: *b}\n")


@test
def yaml_refuses_duplicate_keys_and_broken_text_with_their_place():
    assert "case.yaml:1:" in fault_of_yaml("admission: 1\nadmission: 1\n")
    assert "admission" in fault_of_yaml("admission: 1\n'admission': 1\n")
    assert "case.yaml:3:" in fault_of_yaml("admission: 1\npolicies: [\n")
    assert "empty" in fault_of_yaml("")
    assert "another document" in fault_of_yaml("admission: 1\n---\nadmission: 1\n")
    assert "UTF-8" in fault_of_yaml(b"admission: \xff\n")
    assert "levels deep" in fault_of_yaml("a: " + "[" * 100 + "]" * 100 + "\n")


@test
def yaml_anchors_work_and_cannot_blow_up():
    text = "admission: 1\npolicies:\n  - {name: a, limits: &l [{name: l, count: requests, limit: 1, window: 1m}]}\n"
    run("check", write("case.yaml", text + "  - {name: b, limits: *l}\n"))
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    for level in range(1, 10):
        bomb += f"a{level}: &a{level} [" + ",".join([f"*a{level - 1}"] * 10) + "]\n"
    assert "longer than" in fault_of_yaml(bomb)
    assert "undefined alias" in fault_of_yaml("a: &a [*a]\n")


# -- simulate


@test
def simulate_replays_a_trace_and_says_which_limit_bound():
    trace = write("t.csv", HEADER + "\r\n" + "\r\n".join(f"2023-11-16 18:17:0{n},100,2" for n in range(5)))
    path = write("p.json", policy([RPM]))
    output = run("simulate", path, "--trace", trace).stdout
    assert "t.csv, 2023-11-16 18:17:00 UTC, 4.0 s" in output, output
    report = json.loads(run("simulate", path, "--trace", trace, "--json").stdout)
    assert not report["synthetic"]
    report = report["report"]
    assert report["offered"]["calls"] == 5 and report["admitted"]["calls"] == 2, report
    assert report["rejections"] == [
        {"policy": "p", "limit": "rpm", "reason": "exhausted", "count": 3,
         "first_unix_ns": 1700158622000000000, "last_unix_ns": 1700158624000000000}
    ], report
    assert report["limits"][0]["peak"] == 2 and report["violations"] == 0, report
    assert report["offered"]["busiest_minute"]["input_tokens"] == 500, report


@test
def simulate_without_a_trace_makes_one_from_a_seed_and_says_so():
    done = run("simulate", GEMINI)
    assert "synthetic traffic, because there is no ../shared/traces" in done.stdout, done.stdout
    assert "seed 1" in done.stdout and "no limit exceeded" in done.stdout, done.stdout
    assert "because" not in run("simulate", GEMINI, "--seed", "1").stdout

    def report(seed):
        output = json.loads(run("simulate", GEMINI, "--seed", seed, "--json").stdout)
        assert output["synthetic"]
        return output["report"]

    assert report("5") == report("5")
    assert report("5")["workload"]["digest"] != report("6")["workload"]["digest"]
    assert [limit["rejected"] > 0 for limit in report("1")["limits"]] == [True] * 3


@test
def simulate_gives_each_call_the_attributes_of_its_columns():
    text = HEADER + ",tenant\n" + "".join(f"2023-11-16 18:17:03,1,1,{name}\n" for name in "aabbaab")
    path = write("p.json", policy([RPM], per=["tenant"]))
    output = json.loads(run("simulate", path, "--trace", write("t.csv", text), "--json").stdout)
    assert output["callers"] == 2 and output["report"]["admitted"]["calls"] == 4, output
    done = run("simulate", path, "--trace", write("t.csv", text), "-a", "tenant=x", code=3)
    assert "tenant is given twice" in done.stderr, done.stderr


@test
def simulate_ends_with_3_for_a_trace_that_is_none_and_names_the_line():
    done = run("simulate", GEMINI, "--trace", str(WORK / "missing.csv"), code=3)
    assert "there is no such file" in done.stderr and done.stdout == "", done
    bad = write("bad.csv", f"{HEADER}\n2023-11-16 18:17:03,1,1\n2023-11-16 18:17:03,many,1\n")
    assert f"{bad}: line 3: ContextTokens" in run("simulate", GEMINI, "--trace", bad, code=3).stderr


@test
def simulate_ends_with_1_for_an_invalid_policy_and_a_missing_attribute():
    assert "bad.json:1:" in run("simulate", write("bad.json", "{"), code=1).stderr
    assert "there is no such file" in run("simulate", str(WORK / "none.json"), code=3).stderr
    assert "project" in run("simulate", GEMINI, "-a", "provider=gemini", "-a", "model=x", code=1).stderr


@test
def simulate_gives_back_what_a_caller_expected_and_did_not_use():
    trace = write("t.csv", HEADER + "".join(f"\n2023-11-16 18:17:0{n},1,10" for n in range(5)))
    path = write("p.json", policy([{"name": "otpm", "count": "output_tokens", "limit": 100, "window": "1m"}]))

    def admitted(*arguments):
        output = json.loads(run("simulate", path, "--trace", trace, "--json", *arguments).stdout)
        return output["report"]["admitted"]["calls"]

    assert admitted() == 5
    assert admitted("--expect-output", "100") == 1
    assert admitted("--expect-output", "100", "--token-ms", "10000") == 1
    assert admitted("--expect-output", "60", "--token-ms", "0") == 5


# -- explain


@test
def explain_shows_what_each_limit_says_and_ends_with_1_where_a_call_never_fits():
    output = run("explain", GEMINI, *CALLER, "--input-tokens", "1200").stdout
    assert "gemini/tier-1 · tpm" in output and "admits" in output, output
    assert "does not apply" not in output, output
    limits = json.loads(run("explain", GEMINI, *CALLER, "--input-tokens", "1200", "--json").stdout)["limits"]
    assert [limit["limit"] for limit in limits] == ["rpm", "tpm", "rpd"]
    assert limits[0]["key"] == {"model": "gemini-2.5-flash", "project": "acme"}, limits
    done = subprocess.run(
        [COMMAND, "explain", GEMINI, *CALLER, "--input-tokens", "1000001"], capture_output=True, text=True
    )
    assert done.returncode == 1 and "never fits" in done.stdout, done
    assert "below 0" in run("explain", GEMINI, *CALLER, "--input-tokens=-1", code=1).stderr


@test
def explain_knows_counts_by_name_and_lists_limits_that_do_not_apply():
    path = write("p.json", policy([{"name": "images", "count": "images", "limit": 4, "window": "1h"}]))
    limits = json.loads(run("explain", path, "--count", "images=3", "--json").stdout)["limits"]
    assert limits[0]["capacity"] == 4, limits
    output = run("explain", GEMINI, "-a", "provider=other").stdout
    assert "no policy applies" in output and "does not apply: gemini/tier-1 · rpm" in output, output


# -- Colours


@test
def colours_are_for_terminals_and_no_color_is_respected():
    assert b"\x1b[" in on_terminal("check", GEMINI)
    assert b"\x1b[" not in on_terminal("check", GEMINI, NO_COLOR="1")
    assert b"\x1b[" not in on_terminal("check", GEMINI, TERM="dumb")
    assert "\x1b[" not in run("simulate", GEMINI, "--seed", "1").stdout


import test_servers  # noqa: E402, F401: their tests come last
import test_stores  # noqa: E402, F401

sys.exit(main())
