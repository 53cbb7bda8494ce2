"""The Ray engine, on real clusters of this machine."""

import importlib.util
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from konomi.engine.ray import RayEngine
from konomi.faults import KonomiError
from konomi.testing.engine import EngineSuite, square

NEEDS_RAY = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not there: pip install 'konomi[ray]'"),
]
RELIABILITY = Path(__file__).parents[1] / "reliability"


@pytest.fixture(scope="module")
def cluster():
    """Return a cluster of two nodes with a core each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture(scope="class")
def joined(cluster):
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    yield
    ray.shutdown()


class TestRayEngine(EngineSuite):
    pytestmark = NEEDS_RAY
    plugin = RayEngine
    tries_again = True
    ends_workers = False

    @pytest.fixture(autouse=True)
    def _joined(self, joined):
        """Join once for all tests: an engine takes what is joined, and leaves it so."""


def test_without_ray_the_plan_says_what_to_type(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (fault,) = RayEngine().check()
    assert "ray" in fault.what and fault.hint == "pip install 'konomi[ray]'"


@pytest.mark.parametrize(
    ("options", "said"),
    [({"cpus": 0}, "cpus=1"), ({"cpus": 10_000}, "or fewer"), ({"retries": -2}, "retries=3")],
)
def test_wrong_options_are_faults(monkeypatch, options, said):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (fault,) = RayEngine(**options).check()
    assert said in fault.hint


def test_more_cores_than_this_machine_has_are_for_a_cluster_to_know(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert list(RayEngine(address="auto", cpus=10_000).check()) == []


class TestJoining:
    pytestmark = NEEDS_RAY

    def test_starts_a_cluster_on_this_machine_and_ends_it(self, monkeypatch):
        import psutil
        import ray

        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        assert list(RayEngine().map(square, range(3))) == [0, 1, 4]
        assert not ray.is_initialized()
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
        left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
        _, alive = psutil.wait_procs(left, timeout=30)
        assert alive == []

    def test_a_cluster_that_is_not_there_is_one_line(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(KonomiError, match=rf"engine\.address: the Ray cluster {address} cannot be") as error:
                list(RayEngine(address=address).map(square, [1]))
        assert "\n" not in str(error.value)


class TestACurationOnTwoNodes:
    pytestmark = NEEDS_RAY

    def test_ends_with_the_same_bytes_where_one_of_them_is_killed_half_way(self, tmp_path, monkeypatch):
        """The two nodes have a core each; the second is gone, with its worker, when half of the shards are judged."""
        from ray.cluster_utils import Cluster

        monkeypatch.syspath_prepend(str(RELIABILITY))
        import curating

        corpus = curating.write_corpus(tmp_path / "corpus")
        calm = curating.curate(corpus, tmp_path / "store", tmp_path / "run")
        assert calm.returncode == 0, calm.stderr

        store, run = tmp_path / "ray store", tmp_path / "ray run"
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        second = nodes.add_node(num_cpus=1)
        engine = ["engine=ray", f"engine.address='{nodes.address}'"]
        command = [part for part in curating.command(corpus, store, run, *engine) if part != "engine.workers=2"]
        begin = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            half = curating.FILES * (1 + len(curating.FILTERS)) // 2
            assert curating.wait_for(half, store, child, 300), child.communicate()
            killed = time.monotonic()
            nodes.remove_node(second, allow_graceful=False)
            out, said = child.communicate(timeout=400)
        finally:
            child.kill()
            nodes.shutdown()
        assert (child.returncode, said) == (0, ""), out
        made, expected = curating.artifact(run), curating.artifact(tmp_path / "run")
        assert made.name == expected.name, "the engine is in no key"
        assert curating.digests(made) == curating.digests(expected)
        print(f"node killed after {killed - begin:.1f} s, the run ended after {time.monotonic() - begin:.1f} s")
