"""A selection, and the texts that a stage `export` writes from it."""

import pytest

from konomi.dedup.minhash import MinHash
from konomi.engine.local import LocalEngine
from konomi.faults import KonomiError
from konomi.filter.normalize import Normalize
from konomi.filter.repetition import Repetition
from konomi.stage._options import Layout, Write
from konomi.stage.export import ExportRows

from .curating import Desk, documents


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    for name, seed in (("2024/a.parquet", 0), ("2025/日本 語.parquet", 1)):
        desk.file(name, documents(20, seed=seed) + documents(2, seed=seed))
    return desk


def curate(desk, name, **options):
    plugins = {"filter": {"normalize": Normalize(), "repetition": Repetition()}, "dedup": MinHash()}
    return desk.run(desk.curate(**plugins, test_share=0.2, language="en", **options), name)


def export(desk, selected, name="exported", **options):
    return desk.run(ExportRows(data=selected.artifact, engine=LocalEngine(workers=1), **options), name)


def test_the_bytes_are_those_that_the_curation_would_have_written(desk):
    whole = curate(desk, "whole")
    selected = curate(desk, "selected", write=Write.selection)
    exported = export(desk, selected)
    data = {name: content for name, content in whole.bytes().items() if name.startswith("data/")}
    assert exported.bytes() == data
    assert exported.artifact.makes == "text"


def test_a_selection_holds_no_text(desk):
    selected = curate(desk, "selected", write=Write.selection)
    assert selected.artifact.makes == "selected_text"
    assert selected.artifact.shards() == []
    held = b"".join(file.read_bytes() for file in (selected.job.out / "selection").iterdir())
    assert documents(1)[0]["text"][:20].encode() not in held
    assert selected.job.results["train"] + selected.job.results["test"] == 40


def test_the_paths_of_the_source_are_kept_where_wanted(desk):
    exported = export(desk, curate(desk, "selected", write=Write.selection), layout=Layout.source)
    names = {path.parent.relative_to(exported.job.out / "data").as_posix() for path in exported.artifact.shards()}
    assert names == {"train/2024/a.parquet", "train/2025/日本 語.parquet"}


def test_shelves_that_are_gone_are_named(desk):
    import shutil

    selected = curate(desk, "selected", write=Write.selection)
    shutil.rmtree(desk.folder / "store" / "shelves")
    with pytest.raises(KonomiError, match="is gone, where selected texts lie; refresh=STAGE"):
        export(desk, selected)


def test_options_that_cannot_work_are_faults(desk):
    assert [fault.where for fault in ExportRows(shard_rows=0).check()] == ["shard_rows"]
    stage = desk.curate(write=Write.selection, layout=Layout.source, filter={})
    assert [fault.where for fault in stage.check()] == ["layout"]


def test_what_trains_does_not_take_a_selection(tmp_path, monkeypatch):
    from konomi.faults import Faults
    from konomi.recipe.planning import plan

    monkeypatch.chdir(tmp_path)
    with pytest.raises(Faults, match="selected_text"):
        plan("pretrain", ["corpus.write=selection", "size=smoke"])
