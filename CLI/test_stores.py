"""Tests of inspect and reset on real files, made by processes that use the Python package."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from harness import COMMAND, WORK, on_terminal, run, test, write
from stores import Screen, as_nobody, broken, eventually, holder, inspect, keys_of, left_behind, path_of, poke, tell


# -- inspect


@test
def inspect_shows_use_leases_and_owners_of_a_store_in_use():
    path = path_of("quota")
    with holder(path, {"a": 3, "b": 1}) as process:
        store = inspect(path)
        output = run("inspect", path).stdout
    assert store["path"] == path and store["clock"] == "system", store
    assert store["keys"] == 8 and store["key_capacity"] == 1000, store
    assert store["used_bytes"] <= store["reserved_bytes"] <= store["size_bytes"] == os.stat(path).st_size
    a = keys_of(store, "rpm")["a"]
    assert (a["used"], a["remaining"]) == (3, 1) and 3500e9 < a["full_again_ns"] <= 3661e9, a
    assert keys_of(store, "burst")["a"]["remaining"] == 7, store
    assert keys_of(store, "rpd")["b"]["used"] == 1 and keys_of(store, "parallel")["a"]["used"] == 3
    assert len(store["leases"]) == 4, store["leases"]
    for lease in store["leases"]:
        assert lease["pid"] == process.pid and not lease["reclaimable"], lease
        assert 0 <= lease["age_ns"] < 50e9 and 0 < lease["runs_out_ns"] < 61e9, lease
    [owner] = store["owners"]
    assert owner["alive"] and owner["state"] == "live" and owner["leases"] == 4, owner
    assert owner["pid_namespace"] == os.stat("/proc/self/ns/pid").st_ino, owner
    for text in (f"store      {path}\n", "4 in any 1h", "1 each 1h, 10 at once", "100 each day (UTC)",
                 "3 calls at once", "8 of 1,000", f"{process.pid}", "alive", "75.0 %"):  # fmt: skip
        assert text in output, (text, output)
    assert "\x1b" not in output and "manual" not in output, output
    # Nearest its limit first.
    lines = output.split("\nKeys\n")[1].split("\n\n")[0].splitlines()[1:]
    assert re.search(r"parallel +k=a +3 +3 +100.0 %", lines[0]) and " k=a " in lines[1], lines


@test
def inspect_lists_no_more_keys_than_asked_for_those_nearest_their_limit():
    path = left_behind("many", {f"k{n}": 3 if n == 7 else 1 for n in range(20)})
    store = inspect(path, "--keys", "2")
    assert store["omitted"] == 78, store
    assert [len(row["keys"]) for row in store["limits"]].count(0) >= 2
    assert keys_of(store, "rpm")["k7"]["used"] == 3, store
    output = run("inspect", path, "--keys", "2").stdout
    assert "78 more keys and leases are not listed" in output, output
    assert inspect(path, "--keys", "0")["omitted"] == 80


@test
def inspect_takes_a_url_as_well_and_paths_with_anything_in_them():
    path = left_behind("odd", {"a": 1})
    odd = WORK / "100 %41?group=x é"
    os.rename(path, odd)
    for argument in (str(odd), f"file:{WORK}/100%20%2541%3Fgroup=x%20é", f"./{odd.name}", odd.name):
        assert inspect(argument)["path"].endswith(odd.name), argument
    os.unlink(odd)


@test
def inspect_says_that_a_store_runs_on_a_manual_clock():
    path = path_of("manual")
    with holder(path, {"a": 1}, clock="manual", start_unix_ns=1_700_000_000_000_000_000):
        output = run("inspect", path).stdout
        store = inspect(path)
    assert "runs on a manual clock, 2023-11-14 22:13:20 UTC" in output, output
    assert store["clock"] == "manual" and store["wall_unix_ns"] == 1_700_000_000_000_000_000, store


@test
def inspect_changes_nothing_and_needs_the_right_to_read_alone():
    path = left_behind("readonly", {"a": 2})
    before = Path(path).read_bytes()
    for arguments in (["inspect", path], ["inspect", "--check", path]):
        run(*arguments)
    assert Path(path).read_bytes() == before
    os.chmod(path, 0o400)
    run("inspect", path)
    if os.geteuid() == 0:
        assert as_nobody(path, 0o644, "inspect").returncode == 0


@test
def what_a_file_holds_cannot_command_the_terminal():
    path = left_behind("hostile", {"\x1b]0;owned\x07\n\u202e": 1, "x" * 500: 1})
    for text in (run("inspect", path).stdout, on_terminal("inspect", path).decode()):
        assert "\\u{1b}]0;owned\\u{7}\\u{a}\\u{202e}" in text and "\x1b]" not in text, text
        assert "\x07" not in text and "x" * 100 not in text, text
    assert b"\x1b[" in on_terminal("inspect", path)


@test
def the_lease_of_a_process_that_was_killed_is_reclaimable_and_then_reclaimed():
    path = path_of("killed")
    with holder(path, {"a": 2}) as process:
        process.kill()
        process.wait()
        store = inspect(path)
        output = run("inspect", path).stdout
    assert [lease["reclaimable"] for lease in store["leases"]] == [True, True], store
    assert store["owners"][0]["alive"] is False and store["reclaimed_leases"] == 0, store
    assert "dead, reclaimable" in output, output
    with holder(path, {"b": 1}) as process:
        deadline = time.monotonic() + 10
        while inspect(path)["reclaimed_leases"] < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        store = inspect(path)
        output = run("inspect", path).stdout
    assert store["reclaimed_leases"] == 2, store
    assert [lease["pid"] for lease in store["leases"]] == [process.pid], store
    assert "reclaimed  2 leases of dead processes" in output, output


@test
def inspect_tells_events_and_whether_a_broken_policy_was_refused():
    path = path_of("events")
    with holder(path, {"a": 1}) as process:
        store = inspect(path)
        assert store["loads"] == 1 and int(store["document_hash"], 16) != 0, store
        assert store["refused_reload"] is None and "never" not in run("inspect", path).stdout, store
        tell(process, "break")
        store = inspect(path)
        output = run("inspect", path).stdout
        assert store["events"][-1]["kind"] == "reload_refused", store["events"]
        assert store["refused_reload"]["pid"] == process.pid, store
        assert "a broken policy was refused" in output and "reload_refused" in output, output
        tell(process, "mend")
        assert inspect(path)["refused_reload"] is None
        assert inspect(path)["events"][-1]["kind"] == "loaded"
        assert "broken" not in run("inspect", path).stdout
        tell(process, "break")
        assert inspect(path)["refused_reload"]
        process.kill()
        process.wait()
    # Nobody goes on with an old one.
    assert inspect(path)["refused_reload"] is None
    with holder(path, {}):
        deadline = time.monotonic() + 10
        while inspect(path)["events"][-1]["kind"] != "owner_died" and time.monotonic() < deadline:
            time.sleep(0.05)
        event = inspect(path)["events"][-1]
    assert event["kind"] == "owner_died" and str(process.pid) in event["text"], event


@test
def inspect_tells_which_processes_watch_a_broken_policy_until_it_is_mended():
    path = path_of("watching")
    policies = [WORK / "watched.json", WORK / "other.json"]
    with holder(path, {"a": 1}, watch=str(policies[0])) as one, holder(path, {}, watch=str(policies[1])):
        good = policies[0].read_text()
        policies[0].write_text("{")
        eventually(lambda: inspect(path)["refused_reload"])
        store = inspect(path)
        output = run("inspect", path).stdout
        assert store["refused_reload"]["kind"] == "policy_broken", store["refused_reload"]
        assert store["refused_reload"]["text"].startswith(str(policies[0])), store["refused_reload"]
        assert {owner["pid"]: owner["policy_broken"] for owner in store["owners"]}[one.pid], store["owners"]
        assert [owner["policy_broken"] for owner in store["owners"]].count(True) == 1, store["owners"]
        assert "1 process goes on with another policy than the file" in output, output
        assert "policy_broken" in output and "a broken policy was refused" in output, output
        # What another process loads does not mend it.
        policies[1].write_text(good.replace('"limit": 4', '"limit": 5'))
        eventually(lambda: inspect(path)["loads"] >= 3)
        assert inspect(path)["refused_reload"]["pid"] == one.pid
        policies[0].write_text(good)
        eventually(lambda: not inspect(path)["refused_reload"])
        assert not any(owner["policy_broken"] for owner in inspect(path)["owners"])
        assert inspect(path)["events"][-1]["kind"] == "policy_mended"
        assert "broken policy" not in run("inspect", path).stdout


# -- Files that are no stores


@test
def files_that_are_no_stores_are_named_and_end_with_3():
    cases = [
        (str(WORK / "missing"), "No such file", "store_unavailable"),
        (write("foreign", "something else entirely"), "not a store of this library", "store_foreign"),
        (write("empty", ""), "it is empty", "store_foreign"),
        (str(WORK), "", None),
        (broken("version", poke(8, 99)), "layout 99", "store_version"),
        (broken("short", lambda file: file.truncate(400_000)), "truncated", "store_corrupted"),
        (broken("header", poke(24, 5)), "checksum", "store_corrupted"),
    ]
    for path, text, code in cases:
        for command in ("inspect", "reset"):
            done = run(command, path, code=3)
            assert text in done.stderr and done.stdout == "", done
            error = json.loads(run(command, path, "--json", code=3).stdout)["error"]
            assert code in (None, error["code"]) and error["message"], error
    for url in ("memory:", "postgres://host/0", "file://other/path", "file:/a?mode=1"):
        assert run("inspect", url, code=2).stdout == "", url


@test
def another_users_file_is_refused_by_its_mode():
    if os.geteuid() != 0:
        return
    path = left_behind("private", {"a": 1})
    for command in (["inspect"], ["inspect", "--check"], ["reset"]):
        done = as_nobody(path, 0o600, *command)
        assert done.returncode == 3 and "may not open the file: Permission denied" in done.stderr, done
    done = as_nobody(path, 0o644, "reset")
    assert done.returncode == 3 and "Permission denied" in done.stderr, done


# -- inspect --check


@test
def check_of_a_sound_store_is_one_line_and_ends_with_0():
    path = left_behind("sound", {"a": 2, "b": 1})
    output = run("inspect", "--check", path).stdout
    assert re.fullmatch(rf"ok {path}: 8 keys, 4 limits, [^\n]+ used, [^\n]+ lost\n", output), output
    report = json.loads(run("inspect", "--check", "--json", path).stdout)
    assert report["sound"] and report["faults"] == [] and report["keys"] == 8, report
    with holder(path, {"a": 1}):
        assert run("inspect", "--check", path).stdout.startswith("ok ")


@test
def check_names_every_fault_on_a_line_and_ends_with_1():
    # The list of limits, and the bytes handed out, as the header's words tell them.
    for name, offset, value in (("limits", 136, 3), ("allocated", 64, 7)):
        path = broken(name, poke(offset, value))
        done = run("inspect", "--check", path, code=1)
        faults = [line.removeprefix("error: ") for line in done.stderr.splitlines()]
        assert faults and all(line.startswith("error: ") for line in done.stderr.splitlines()), done
        assert f"damaged {path}: " in done.stdout, done
        report = json.loads(run("inspect", "--check", "--json", path, code=1).stdout)
        assert not report["sound"] and report["faults"] == faults, report
    assert "damaged" in run("inspect", broken("shown", poke(136, 3))).stdout
    done = run("inspect", "--check", broken("cut", lambda file: file.truncate(400_000)), code=1)
    assert "truncated" in done.stderr, done


@test
def any_flipped_byte_is_met_without_harm():
    path = left_behind("flipped", {"a": 2, "b": 1})
    original = Path(path).read_bytes()
    used = original.rstrip(b"\0")
    everywhere = [n for n in range(64, len(used)) if used[n]]
    places = everywhere[:: len(everywhere) // 40]
    found = 0
    for place in places:
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(bytes([used[place] ^ 0x41]))
        for command in (["inspect"], ["inspect", "--check"]):
            done = subprocess.run([COMMAND, *command, path], capture_output=True, timeout=60)
            assert done.returncode in (0, 1, 3), (place, done)
            found += done.returncode != 0
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(used[place : place + 1])
    assert found > len(places) / 4, (found, len(places))


# -- reset


@test
def reset_gives_everything_back():
    path = left_behind("reset", {"a": 3, "b": 1})
    assert keys_of(inspect(path), "rpm")["a"]["used"] == 3
    output = run("reset", path).stdout
    assert output == f"reset {path}: 6 keys untouched again\n", output
    store = inspect(path)
    assert all(row["used"] == 0 for limit in store["limits"] for row in limit["keys"]), store
    assert json.loads(run("reset", path, "--json").stdout) == {
        "keys": 6, "leases_freed": 0, "leases_kept": 0, "partial": False, "live_processes": 0
    }  # fmt: skip


@test
def reset_refuses_a_store_in_use_unless_forced_and_keeps_live_leases():
    path = path_of("used")
    with holder(path, {"a": 2}), holder(path, {"a": 1}):
        done = run("reset", path, code=1)
        assert "used by 2 live processes" in done.stderr and done.stdout == "", done
        error = json.loads(run("reset", path, "--json", code=1).stdout)["error"]
        assert error["code"] == "store_in_use", error
        assert keys_of(inspect(path), "rpm")["a"]["used"] == 3
        output = run("reset", path, "--force").stdout
        assert output == (f"reset {path}: 3 keys untouched again\n  2 live processes went on, 3 leases kept\n"), output
        store = inspect(path)
        assert keys_of(store, "rpm")["a"]["used"] == 0 and len(store["leases"]) == 3, store


@test
def a_process_that_holds_no_lease_uses_a_store_until_its_limiter_is_closed():
    path = path_of("idle")
    with holder(path, {}) as process:
        assert inspect(path)["leases"] == []
        assert "used by 1 live process;" in run("reset", path, code=1).stderr
        tell(process, "close")
        assert run("reset", path, code=0).stdout == f"reset {path}: 0 keys untouched again\n"


@test
def reset_is_not_kept_out_by_a_process_that_was_killed():
    path = path_of("dead")
    with holder(path, {"a": 2}) as process:
        process.kill()
        process.wait()
        output = run("reset", path).stdout
    assert output == f"reset {path}: 3 keys untouched again, 2 leases of dead processes freed\n", output
    assert inspect(path)["owners"] == [] and inspect(path)["leases"] == []


# -- inspect --watch


@test
def watch_redraws_in_a_screen_of_its_own_until_interrupted():
    path = path_of("watched")
    with holder(path, {"a": 1}) as process:
        screen = Screen("inspect", "--watch", "0.1", path)
        screen.read_until("\x1b[?1049h")
        screen.read_until("alive")
        tell(process, "close")
        screen.text = ""
        screen.read_until("\x1b[H")
        screen.read_until("Keys")
    os.unlink(path)
    screen.read_until("No such file")
    os.write(screen.descriptor, b"\x03")
    screen.read_until("\x1b[?7h\x1b[?25h\x1b[?1049l")
    assert screen.end() == 0


@test
def watch_restores_the_terminal_when_it_is_ended():
    screen = Screen("inspect", left_behind("ended", {f"k{n}": 1 for n in range(20)}), "--watch")
    screen.read_until("more lines")
    assert screen.text.count("\r\n") < 24, screen.text
    os.kill(screen.pid, signal.SIGTERM)
    screen.read_until("\x1b[?1049l")
    assert os.WTERMSIG(screen.end()) == signal.SIGTERM


@test
def watch_without_a_terminal_prints_pages_or_json_lines():
    path = left_behind("lines", {"a": 1})
    with subprocess.Popen(
        [COMMAND, "inspect", path, "--watch", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        lines = [process.stdout.readline() for _ in range(3 * (len(run("inspect", path).stdout.splitlines()) + 1))]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0 and process.stderr.read() == b""
    text = b"".join(lines).decode()
    assert "\x1b" not in text and text.count("\n\nstore      ") == 2, text
    with subprocess.Popen([COMMAND, "inspect", path, "--json", "--watch", "0.1"], stdout=subprocess.PIPE) as process:
        for _ in range(3):
            assert json.loads(process.stdout.readline())["path"] == path
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert json.loads(run("inspect", str(WORK / "none"), "--json", "--watch", code=3).stdout)["error"]


@test
def arguments_of_stores_that_make_no_sense_end_with_2():
    for arguments in (
        ["inspect"],
        ["inspect", ""],
        ["inspect", "x", "--keys", "-1"],
        ["inspect", "x", "--keys", "many"],
        ["inspect", "x", "--json", "--watch", "0"],
        ["inspect", "x", "--json", "--check", "--watch"],
        ["inspect", "x", "--check", "--keys", "1"],
        ["reset"],
        ["reset", "x", "y"],
    ):
        assert run(*arguments, code=2).stdout == "", arguments
