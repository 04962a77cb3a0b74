"""Faults of the driver (kills, stops, a second driver, clock jumps, changed studies) do not change its rows."""

from __future__ import annotations

import random
import signal
import socket

import psutil
import pytest

from pipelines.store.lease import LeaseRecord
from tests.conftest import SEEDS
from tests.faults.rig import Forked, Rig, check_left_over, check_rows, ended, finished, hashes, undisturbed, wait_for

QUICK = {"FAULTS_LEASE": "0.2,1.5"}
# with the approximate number of hits in an undisturbed run of 9 steps
POINTS = {
    "file.aside": 40,
    "answer.kept": 1500,
    "unit.part": 14,
    "unit.sealed": 2,
    "shard.written": 9,
    "commit.before_manifest": 9,
    "commit.after_manifest": 9,
    "commit.after_parts": 9,
}


def somewhere(chance: random.Random, point: str = "answer.kept", share: float = 0.8) -> str:
    return f"{point}=kill@{chance.randint(1, max(1, int(POINTS[point] * share)))}"


@pytest.mark.case(2)
def test_a_driver_that_is_killed_at_every_commit_point_repeats_only_what_was_in_flight(
    rig: Rig, chance: random.Random
) -> None:
    points = chance.sample([*POINTS], len(POINTS) if SEEDS > 1 else 3)
    for left, point in zip(range(len(points), 0, -1), points, strict=True):
        run = rig.run(somewhere(chance, point, 1 / left))
        assert run.code in (0, -signal.SIGKILL), run.output
    assert rig.run().code == 0
    rig.check()
    assert all(repeated <= in_flight <= 64 for repeated, in_flight in rig.repeated())


@pytest.mark.case(13)
def test_a_step_without_its_manifest_does_not_exist_and_is_finished_by_the_next_run(
    rig: Rig, chance: random.Random
) -> None:
    assert rig.run(somewhere(chance, "commit.before_manifest")).code == -signal.SIGKILL
    steps = {path.split("/")[2] for path in finished(rig.store)}
    assert len(steps - rig.store.finished_keys()) == 1
    assert rig.run().code == 0
    rig.check()
    assert rig.repeated() == [(0, 0)]


@pytest.mark.faults
@pytest.mark.case(13)
def test_repeated_requests_of_an_engine_that_answers_differently_each_time_give_each_row_once(
    rig: Rig, chance: random.Random
) -> None:
    for number in range(3):
        rig.run(somewhere(chance, chance.choice(["answer.kept", "unit.part"]), 0.3), FAULTS_SALT=str(number))
    assert rig.run(FAULTS_SALT="last").code == 0
    check_rows(rig.store)
    check_left_over(rig.store)
    assert all(repeated <= in_flight for repeated, in_flight in rig.repeated())


@pytest.mark.case(14)
def test_a_zombie_that_wakes_after_a_takeover_changes_nothing(rig: Rig, chance: random.Random) -> None:
    zombie = rig.start(somewhere(chance).replace("kill", "stop"), **QUICK)
    try:
        stopped(rig, zombie)
        run = rig.run(**QUICK)
        assert run.code == 0 and "taken over from process" in run.output, run.output
        assert hashes(rig.store) == undisturbed(rig.text)
        zombie.send_signal(signal.SIGCONT)
        late = ended(zombie)
    finally:
        zombie.kill()
    assert late.code == 1 and "this run stops, and the steps that it finished are kept" in late.output, late.output
    assert finished(rig.store) == undisturbed(rig.text)
    check_rows(rig.store)


@pytest.mark.faults
@pytest.mark.case(14)
def test_rows_of_a_zombie_and_of_its_successors_never_mix(rig: Rig, chance: random.Random) -> None:
    zombie = rig.start(somewhere(chance).replace("kill", "stop"), **QUICK, FAULTS_SALT="zombie")
    try:
        stopped(rig, zombie)
        rig.run(somewhere(chance, "unit.part"), **QUICK, FAULTS_SALT="second")
        zombie.send_signal(signal.SIGCONT)
        late = ended(zombie)
    finally:
        zombie.kill()
    assert late.code == 1 and "was taken over" in late.output, late.output
    assert rig.run(**QUICK, FAULTS_SALT="third").code == 0
    check_rows(rig.store)
    check_left_over(rig.store)


@pytest.mark.case(15)
@pytest.mark.parametrize("where", ["elsewhere", "before a reboot"])
def test_the_lock_of_a_dead_host_is_taken_over(rig: Rig, chance: random.Random, where: str) -> None:
    assert rig.run(somewhere(chance), **QUICK).code == -signal.SIGKILL
    path = f"{rig.store.root}/studies/faulty/lease.json"
    claim = LeaseRecord.model_validate_json(rig.store.read_bytes(path))
    moved = {"boot": "another"} if where == "before a reboot" else {"host": "gone", "boot": "another"}
    rig.store.write_bytes(path, claim.model_copy(update=moved).model_dump_json().encode())
    run = rig.run(**QUICK)
    assert run.code == 0 and "taken over from process" in run.output, run.output
    assert ("waiting" in run.output) == (where == "elsewhere" and claim.host == socket.gethostname())
    rig.check()


@pytest.mark.case(16)
def test_of_two_drivers_the_second_is_refused_and_the_first_finishes(rig: Rig, chance: random.Random) -> None:
    first = rig.start(f"answer.kept=stop@{chance.randint(50, 1000)}", FAULTS_LEASE="0.2,30")
    try:
        stopped(rig, first)
        second = rig.start(FAULTS_LEASE="0.2,30")
        wait_for(lambda: "waiting 30 s for a heartbeat" in second.said(), second)
        first.send_signal(signal.SIGCONT)
        refused, done = ended(second), ended(first)
    finally:
        first.kill()
    assert refused.code == 1 and "is being run by process" in refused.output and "Traceback" not in refused.output
    assert done.code == 0, done.output
    rig.check()
    assert rig.repeated() == [(0, 0)]


@pytest.mark.case(20)
def test_a_clock_that_jumps_by_an_hour_confuses_nothing(rig: Rig, chance: random.Random) -> None:
    assert rig.run(somewhere(chance), **QUICK, FAULTS_CLOCK="1").code == -signal.SIGKILL
    assert rig.run(**QUICK, FAULTS_CLOCK="1").code == 0
    rig.check()
    assert all(repeated <= in_flight for repeated, in_flight in rig.repeated())


@pytest.mark.case(21)
def test_a_driver_that_is_asked_to_end_saves_what_is_finished(rig: Rig, chance: random.Random) -> None:
    process = rig.start(somewhere(chance).replace("kill", "stop"))
    try:
        stopped(rig, process)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        asked = ended(process, 30)
    finally:
        process.kill()
    assert asked.code == 143 and "run the study again to continue" in asked.output, asked.output
    assert rig.run().code == 0
    rig.check()
    assert all(repeated <= in_flight for repeated, in_flight in rig.repeated())


@pytest.mark.case(22)
def test_a_changed_study_never_picks_up_what_another_one_began(rig: Rig, chance: random.Random) -> None:
    before = rig.text
    assert rig.run(somewhere(chance)).code == -signal.SIGKILL
    rig.write(before.replace("rounds: 2", "rounds: 2, sampling: {temperature: 0.5}"))
    assert rig.run().code == 0
    changed = finished(rig.store)
    assert changed == undisturbed(rig.text)
    check_rows(rig.store)
    told = rig.command("plan", "--explain", text=before).output
    assert "temperature" in told, told
    rig.write(before)
    assert rig.run().code == 0
    assert hashes(rig.store) == {**undisturbed(before), **changed}
    repeated, in_flight = rig.repeated()[-1]
    assert repeated <= in_flight


def stopped(rig: Rig, process: Forked) -> None:
    """Wait until a process has reached the point at which it stops."""
    wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, process)
