"""Tasks as processes of this machine: taken as there is capacity, and killed when nobody waits."""

from pathlib import Path

import pytest

from fairexit.executors.local import LocalProcesses
from fairexit.executors.task import Task
from waiting import wait_until

READ = "import json, os, sys, time\npayload = json.loads(sys.stdin.readline())\n"


@pytest.fixture
def task(tmp_path):
    def task(name, code, **payload):
        return Task(name, ("-c", READ + code), payload, tmp_path / "logs" / name, threads=3)

    return task


def test_tasks_are_taken_as_there_is_capacity(task):
    taken = []

    def tasks():
        for i in range(5):
            taken.append(i)
            yield task(f"t{i}", "print(payload['x'], os.environ['OMP_NUM_THREADS'])", x=i)

    outcomes = LocalProcesses(2, 1).run(tasks())
    first = next(outcomes)
    assert taken == [0, 1]
    names = [first.task.name, *(outcome.task.name for outcome in outcomes)]
    assert sorted(names) == ["t0", "t1", "t2", "t3", "t4"]
    assert first.task.log.read_text() == f"{first.task.payload['x']} 3\n"


def test_how_a_task_fails_is_one_line(task, tmp_path):
    tasks = [
        task("fails", "print('first'); sys.exit('the last line')"),
        task("silent", "sys.exit(4)"),
        task("diverged", "print('nan'); sys.exit(3)"),
        task("killed", "os.kill(os.getpid(), 9)"),
    ]
    outcomes = {o.task.name: (o.error, o.has_diverged) for o in LocalProcesses(2, 1).run(tasks)}
    assert outcomes == {
        "fails": ("the last line", False),
        "silent": ("its process ended with status 4 and no message", False),
        "diverged": ("nan", True),
        "killed": ("its process was killed (SIGKILL)", False),
    }


def test_tasks_that_nobody_waits_for_are_killed(task, tmp_path):
    endless = task(
        "endless",
        "open(payload['file'], 'w').write(str(os.getpid()))\ntime.sleep(600)",
        file=str(tmp_path / "pid"),
    )
    outcomes = LocalProcesses(2, 1).run([endless, task("short", "")])
    assert next(outcomes).task.name == "short"
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), lambda: True)
    outcomes.close()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
