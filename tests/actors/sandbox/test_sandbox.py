"""The sandbox as its callers use it: values, cases, limits, levels, faults of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.sandbox import sandbox as module
from actors.sandbox.equality import matches
from actors.sandbox.protocol.job import LAYERS, Limits, SandboxError, SandboxJob
from actors.sandbox.sandbox import MAX_ATTEMPTS, Sandbox
from actors.sandbox.zygote_process import ZygoteLost
from tests.support.timing import until

ROOT = Path(__file__).parents[3]
SHORT = Limits(wall_seconds=0.5, cpu_seconds=1)
ECHO = "def echo(x): return x"


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "ä\0", [1, ["a"]], {"a": {"b": None}}])
def test_plain_values_go_in_and_come_out(sandbox: Sandbox, value: Any) -> None:
    outcome = sandbox.run(SandboxJob("x", ECHO, "echo", (value,)))
    assert matches(outcome, value)
    assert (outcome.id, outcome.level) == ("x", "L2")


@pytest.mark.parametrize(
    ("source", "status", "detail"),
    [
        ("x = 1", "raised", "NameError"),
        ("def f(): return 1 / 0", "raised", "ZeroDivisionError: division by zero"),
        ("def f(): return (1,)", "raised", "type tuple"),
        ("def f(:", "raised", "SyntaxError"),
        ("import requests", "raised", "ModuleNotFoundError"),
        ("def f(): return 'x' * 2_000_000", "output", "2,000,002 bytes"),
        ("def f(): return bytearray(1 << 30)", "memory", ""),
        ("import os; os._exit(4)", "killed", "exit code 4"),
        ("import ctypes; ctypes.string_at(0)", "killed", "SIGSEGV"),
    ],
)
def test_other_ends_have_their_status(sandbox: Sandbox, source: str, status: str, detail: str) -> None:
    outcome = sandbox.run(SandboxJob("x", source, "f"))
    assert (outcome.status, outcome.value) == (status, None)
    assert detail in outcome.detail


def test_source_alone_is_executed(sandbox: Sandbox) -> None:
    assert sandbox.run(SandboxJob("x", "assert 1 + 1 == 2")).status == "returned"
    assert sandbox.run(SandboxJob("x", "assert 1 + 1 == 3")).status == "raised"


def test_what_can_not_be_sent_is_refused(sandbox: Sandbox) -> None:
    for job in (SandboxJob("x", "'\ud800'"), SandboxJob("x", ECHO, "echo", (object(),))):  # type: ignore[arg-type]
        assert sandbox.run(job).status == "refused"


def test_case_that_ends_its_process_ends_only_itself(sandbox: Sandbox) -> None:
    source = (
        "import os, time\ndef f(x):\n    if x == 'die': os._exit(1)\n    if x == 'hang': time.sleep(9)\n    return x"
    )
    cases = [(1,), ("die",), (2,), ("hang",), (3,), (4,)]
    # those that answer get a second and a half to do so, however busy the machine is
    outcomes = sandbox.run_cases(SandboxJob("x", source, "f", limits=Limits(wall_seconds=1.5, cpu_seconds=1)), cases)
    statuses = ["returned", "killed", "returned", "timeout", "returned", "returned"]
    assert [outcome.status for outcome in outcomes] == statuses
    assert [outcome.value for outcome in outcomes] == [1, None, 2, None, 3, 4]


def test_each_case_has_its_own_clock(sandbox: Sandbox) -> None:
    limits = Limits(wall_seconds=1.5, cpu_seconds=1)
    job = SandboxJob("x", "import time\ndef f(): time.sleep(0.1); return 1", "f", limits=limits)
    assert [outcome.value for outcome in sandbox.run_cases(job, [()] * 20)] == [1] * 20


def test_source_that_does_not_load_fails_all_cases_at_once(sandbox: Sandbox) -> None:
    started = time.monotonic()
    outcomes = sandbox.run_cases(SandboxJob("x", "while True: pass", "f", limits=SHORT), [()] * 200)
    assert {outcome.status for outcome in outcomes} == {"timeout"}
    assert time.monotonic() - started < 30  # one after the other: 100 s


def test_no_cases_no_outcomes(sandbox: Sandbox) -> None:
    assert sandbox.run_cases(SandboxJob("x", ECHO, "echo"), []) == []


def test_cpu_time_is_limited_where_the_clock_is_not(sandbox: Sandbox) -> None:
    outcome = sandbox.run(SandboxJob("x", "while True: pass", limits=Limits(wall_seconds=20, cpu_seconds=1)))
    assert (outcome.status, outcome.detail) == ("timeout", "1 s of CPU are allowed")


def test_same_job_gives_the_same_value_in_every_process() -> None:
    source = "import random\ndef f(): return [random.random(), *map(str, {'a', 'b', 'c', 'd', 'e'}), hash('x')]"
    values: list[Any] = []
    for _ in range(2):
        with Sandbox() as own:
            values += [own.run(SandboxJob("x", source, "f")).value for _ in range(2)]
    assert values[0] is not None
    assert all(value == values[0] for value in values)


def test_jobs_of_several_threads_keep_their_own_answers(sandbox: Sandbox) -> None:
    jobs = [SandboxJob(str(number), ECHO, "echo", (number,)) for number in range(50)]
    outcomes = sandbox.map(sandbox.run, jobs)
    assert [(outcome.id, outcome.value) for outcome in outcomes] == [(str(number), number) for number in range(50)]


@pytest.mark.parametrize("layer", sorted(LAYERS["L2"]))
def test_refuses_to_start_without_any_one_layer(layer: str) -> None:
    if layer == "uid" and os.getuid() != 0:
        pytest.skip("needs to be root to keep being root")
    with pytest.raises(SandboxError, match="cannot protect this machine at level L2"):
        Sandbox(layers=LAYERS["L2"] - {layer}).close()


def test_refuses_to_start_where_the_kernel_gives_no_namespaces() -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare")
    code = "from actors.sandbox.sandbox import Sandbox; Sandbox()"
    command = [unshare, "--user", sys.executable, "-c", code]  # a user who may nothing
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "SandboxError: the sandbox cannot protect this machine at level L2" in result.stderr


def test_lower_level_is_taken_only_by_name_and_is_told() -> None:
    with Sandbox(level="L0") as weak:
        outcome = weak.run(SandboxJob("x", ECHO, "echo", (1,)))
        assert (outcome.value, outcome.level) == (1, "L0")


def test_level_without_namespaces_leaves_no_files_and_no_network() -> None:
    try:
        weak = Sandbox(level="L1")
    except SandboxError as error:
        pytest.skip(f"an interpreter that others may not read: {error}")
    with weak:
        for act in ("open('x', 'w')", "__import__('socket').socket()", "open('/etc/passwd')"):
            outcome = weak.run(SandboxJob("x", act))
            assert (outcome.status, outcome.level) == ("raised", "L1")
            assert "PermissionError" in outcome.detail


@pytest.mark.parametrize("which", ["outer", "inner"])
def test_job_whose_zygote_is_killed_is_run_again(zygotes: Callable[[], list[int]], which: str) -> None:
    before = zygotes()
    with Sandbox() as own:
        old = [pid for pid in zygotes() if pid not in before]
        victim = min(old) if which == "outer" else max(old)

        def kill_during_the_job() -> None:
            until(lambda: bool(set(zygotes()) - {*before, *old}))  # the job's own process
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_during_the_job)
        killer.start()
        assert matches(own.run(SandboxJob("x", "import time\ndef f(): time.sleep(1); return 1", "f")), 1)
        killer.join()
        until(lambda: not set(old) & set(zygotes()))


def test_sandbox_that_fails_again_and_again_is_no_fault_of_the_job(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def lost(*_: Any) -> Any:
        tried.append(1)
        raise ZygoteLost("gone")

    with monkeypatch.context() as patch:
        patch.setattr(module, "attempt_cases", lost)
        outcomes = sandbox.run_cases(SandboxJob("x", ECHO, "echo"), [(1,), (2,)])
    assert [(outcome.status, outcome.detail) for outcome in outcomes] == [("infrastructure", "gone")] * 2
    assert len(tried) == MAX_ATTEMPTS
    assert matches(sandbox.run(SandboxJob("x", ECHO, "echo", (1,))), 1)


def test_zygotes_are_renewed_after_a_number_of_jobs(
    monkeypatch: pytest.MonkeyPatch, zygotes: Callable[[], list[int]]
) -> None:
    monkeypatch.setattr(module, "JOBS_PER_ZYGOTE", 6)
    with Sandbox() as own:
        seen: set[int] = set()
        for number in range(10):
            assert matches(own.run(SandboxJob("x", ECHO, "echo", (number,))), number)
            seen |= set(zygotes())
    assert len(seen) > 2


def test_closed_sandbox_says_so(sandbox: Sandbox) -> None:
    with Sandbox() as own:
        pass
    with pytest.raises(SandboxError, match="closed"):
        own.run(SandboxJob("x", ECHO, "echo", (1,)))


def test_nothing_stays_when_the_caller_is_killed(zygotes: Callable[[], list[int]]) -> None:
    before = zygotes()
    code = (
        "from actors.sandbox.sandbox import Sandbox\n"
        "from actors.sandbox.protocol.job import SandboxJob\n"
        "box = Sandbox()\nprint(flush=True)\ninput()\nbox.run(SandboxJob('x', 'while True: pass'))"
    )
    command = [sys.executable, "-c", code]
    caller = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert caller.stdin and caller.stdout
    with caller.stdin, caller.stdout:
        caller.stdout.readline()
        idle = zygotes()
        caller.stdin.write(b"\n")
        caller.stdin.flush()
        until(lambda: set(zygotes()) > {*before, *idle})  # the job's own process
        caller.kill()
        caller.wait()
    until(lambda: not set(zygotes()) - set(before))
