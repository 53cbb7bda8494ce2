import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from konomi.engine.local import AHEAD, LocalEngine
from konomi.faults import Stopped
from konomi.job import Job, Stop
from konomi.testing.engine import EngineSuite, Handed, gone, sign, square


class TestLocalEngine(EngineSuite):
    plugin = LocalEngine

    def make(self):
        return LocalEngine(workers=2)


def test_one_worker_is_this_process(tmp_path):
    list(LocalEngine(workers=1).map(sign, [tmp_path] * 3))
    assert [path.name for path in tmp_path.iterdir()] == [str(os.getpid())]


def test_no_more_processes_than_tasks_or_workers(tmp_path):
    list(LocalEngine(workers=3).map(sign, [tmp_path] * 12))
    assert len(list(tmp_path.iterdir())) <= 3


def test_gives_out_as_many_tasks_as_keep_the_workers_busy():
    tasks = Handed(100)
    results = LocalEngine(workers=2).map(square, tasks)
    next(results)
    assert tasks.taken == 2 * AHEAD
    results.close()


def test_a_number_of_processes_below_none_is_a_fault():
    (fault,) = LocalEngine(workers=-1).check()
    assert "workers=0" in fault.hint


def test_a_stop_during_a_stage_ends_the_workers_at_once(tmp_path):
    job = Job("curate", "test", "key", tmp_path / "out", tmp_path / "work", quiet=True, stop=Stop("SIGTERM"))
    (tmp_path / "signed").mkdir()
    results = LocalEngine(workers=2).map(sign, [tmp_path / "signed"] * 8)
    with pytest.raises(Stopped) as stopped:
        list(job.progress(results))
    assert gone(tmp_path / "signed"), stopped  # the error, and with it every frame, is still held


SCRIPT = """
from konomi.engine.local import LocalEngine

def double(text):
    return 2 * text

print(*LocalEngine(workers=2).map(double, "abc"))
"""


@pytest.mark.parametrize("way", ["file", "-c", "stdin"])
def test_works_from_a_script_without_a_guard(tmp_path, way):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = {"file": [str(tmp_path / "script.py")], "-c": ["-c", SCRIPT], "stdin": ["-"]}[way]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, input=SCRIPT, timeout=60)
    assert (done.stdout, done.stderr) == ("aa bb cc\n", "")


WAITING = """
import sys
from pathlib import Path
from konomi.engine.local import LocalEngine
from konomi.testing.engine import wait_as

list(LocalEngine(workers=2).map(wait_as, [Path(sys.argv[1])] * 4))
"""


def waiting(folder: Path, **options) -> subprocess.Popen:
    """Start a process whose two workers wait."""
    folder.mkdir()
    child = subprocess.Popen([sys.executable, "-c", WAITING, str(folder)], stderr=subprocess.PIPE, text=True, **options)
    until = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    return child


def test_workers_end_when_the_process_that_they_work_for_was_killed(tmp_path):
    child = waiting(tmp_path / "signed")
    child.kill()
    child.wait()
    assert gone(tmp_path / "signed")


def test_a_signal_to_the_whole_group_is_the_first_process_own_matter(tmp_path):
    child = waiting(tmp_path / "signed", start_new_session=True)
    os.killpg(child.pid, signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert said.count("Traceback") == 1 and said.rstrip().endswith("KeyboardInterrupt")
    assert gone(tmp_path / "signed")


def test_workers_are_deaf_to_what_a_scheduler_sends_to_all(tmp_path):
    child = waiting(tmp_path / "signed")
    workers = [psutil.Process(int(path.name)) for path in (tmp_path / "signed").iterdir()]
    for worker in workers:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
            worker.send_signal(number)
    time.sleep(0.5)
    assert all(worker.is_running() for worker in workers)
    child.kill()
    child.wait()
    assert gone(tmp_path / "signed")


PLUGIN = """
from dataclasses import dataclass

from konomi.filter import Verdicts
from konomi.registry import register


@register("filter", "shouting")
@dataclass(frozen=True)
class Shouting:
    \"\"\"Drop nothing.\"\"\"

    def __call__(self, texts):
        return Verdicts([text.upper() for text in texts], [None] * len(texts), {})


def shout(filter_):
    return filter_(["a"]).texts[0]
"""
USING = """
from konomi import registry, search_path
from konomi.engine.local import LocalEngine

search_path.load_plugins()
import konomi_project.shouting as own

print(*LocalEngine(workers=2).map(own.shout, [registry.get("filter", "shouting")()] * 3))
"""


def test_a_projects_own_plugins_work_in_the_workers(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.konomi]\nplugins = ["plugins"]\n')
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "shouting.py").write_text(PLUGIN)
    done = subprocess.run([sys.executable, "-c", USING], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.stdout, done.stderr) == ("A A A\n", "")
