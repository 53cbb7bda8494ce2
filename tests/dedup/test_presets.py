import pytest

import konomi
from konomi.dedup.minhash import MinHash, Verify
from konomi.units import Unit

DEFAULT = MinHash()


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("by_crawl", MinHash(within="crawl")),
        ("finepdfs", MinHash(num_bands=32, rows_per_band=10, unit=Unit.word)),
        ("fineweb", MinHash(threshold=0.75, num_bands=14, unit=Unit.word)),
        ("neardup", MinHash(num_bands=450, rows_per_band=20, unit=Unit.word, verify=Verify.exact)),
        ("swallow", MinHash(threshold=0.9, num_bands=40, rows_per_band=20, unit=Unit.character)),
    ],
)
def test_a_preset_gives_the_published_setting(preset, expected):
    node = konomi.compose("curate", [f"dedup={preset}"]).curate.dedup
    assert {name: node[name] for name in vars(DEFAULT)} == vars(expected)
    assert not list(expected.check())
