"""Tests of inspect and reset on Redis servers, with processes that use the Python package."""

import json
import re
import signal
import subprocess
import sys

from harness import COMMAND, ROOT, run, test
from stores import holder, inspect, keys_of

sys.path.append(str(ROOT / "Tests/processes"))
from servers import Server, free_port  # noqa: E402


@test
def inspect_shows_use_and_leases_of_a_server_without_its_password():
    with Server(password="canary") as server, holder(server.url, {"a": 3, "b": 1}):
        store = inspect(server.url)
        output = run("inspect", server.url).stdout
        few = inspect(server.url, "--keys", "2")
    assert store["url"] == f"redis://:***@127.0.0.1:{server.port}/0" and store["faults"] == [], store
    a = keys_of(store, "rpm")["a"]
    assert (a["used"], a["remaining"]) == (3, 1) and 3500e9 < a["full_again_ns"] <= 3661e9, a
    assert keys_of(store, "burst")["a"]["used"] == 3 and keys_of(store, "rpd")["b"]["used"] == 1, store
    assert keys_of(store, "parallel")["a"]["used"] == 3 and len(store["leases"]) == 4, store
    for lease in store["leases"]:
        assert 0 <= lease["renewed_ns"] < 50e9 and 0 < lease["runs_out_ns"] <= 60e9, lease
    assert len({lease["owner"] for lease in store["leases"]}) == 1, store["leases"]
    for text in ("4 in any 1h", "1 each 1h, 10 at once", "100 each day (UTC)", "3 calls at once", "75.0 %"):
        assert text in output, (text, output)
    assert "canary" not in output + json.dumps(store) and "\x1b" not in output, output
    lines = output.split("\nKeys\n")[1].split("\n\n")[0].splitlines()[1:]
    assert re.search(r"parallel +k=a +3 +3 +100.0 %", lines[0]), lines
    assert few["omitted"] == 6 + 2 and len(few["leases"]) == 2, few


@test
def reset_of_a_server_takes_force_and_gives_everything_back_but_leases():
    with Server() as server, holder(server.url, {"a": 3}) as process:
        assert "force" in run("reset", server.url, code=1).stderr
        refused = json.loads(run("reset", server.url, "--json", code=1).stdout)
        assert refused["error"]["code"] == "store_in_use", refused
        assert json.loads(run("reset", server.url, "--force", "--json").stdout) == {"shards": 1, "scopes": 1}
        store = inspect(server.url)
        assert [row["key_count"] for row in store["limits"] if row["kind"] != "concurrency"] == [0] * 3, store
        assert len(store["leases"]) == 3 and store["shards"][0]["reset_unix_ns"] > 0, store
        assert "untouched again" in run("reset", server.url, "--force").stdout
        process.stdin.write("close\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        assert inspect(server.url)["leases"] == []


@test
def check_of_a_server_names_what_no_version_writes_and_keys_that_never_expire():
    with Server() as server, holder(server.url, {"a": 1}):
        assert run("inspect", "--check", server.url).stdout.startswith("ok redis://127.0.0.1:")
        client = server.client()
        [state] = [name for name in client.keys("admission:*") if name.endswith(b":s")]
        client("SET", state, "spoiled")
        done = run("inspect", "--check", server.url, code=1)
        assert "state of p k=a: no state that this version wrote" in done.stderr, done.stderr
        assert "state of p k=a: it never expires" in done.stderr and "2 faults" in done.stdout, done
        assert "damaged" in run("inspect", server.url).stdout
        client.close()


@test
def servers_that_cannot_be_read_end_with_3_and_urls_that_are_none_with_2():
    with Server(password="canary") as server:
        wrong = server.url.replace("canary", "canary-wrong")
        for url in (wrong, f"redis://127.0.0.1:{server.port}", f"redis://:canary@127.0.0.1:{free_port()}"):
            done = run("inspect", url, code=3)
            assert "canary" not in done.stderr and done.stdout == "", done
            assert json.loads(run("inspect", url, "--json", code=3).stdout)["error"]["code"].startswith("store_")
            run("reset", url, "--force", code=3)
        empty = inspect(server.url)
    assert empty["limits"] == [] and empty["wall_unix_ns"] > 1.6e18, empty
    for url in ("redis://", "redis://h:0", "redis+cluster://127.0.0.1:1", "redis://h/x"):
        run("inspect", url, code=2)


@test
def watch_of_a_server_prints_json_lines_and_goes_on_without_it():
    with Server() as server:
        command = [COMMAND, "inspect", server.url, "--json", "--watch", "0.1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert json.loads(process.stdout.readline())["limits"] == []
            server.kill()
            while "error" not in json.loads(process.stdout.readline()):
                pass
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
