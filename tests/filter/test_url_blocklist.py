import pyarrow as pa
import pytest

from konomi.faults import KonomiError
from konomi.filter.url_blocklist import Places, UrlBlocklist, plain_entry
from konomi.testing.filter import FilterSuite


class TestUrlBlocklist(FilterSuite):
    plugin = UrlBlocklist

    def judge(self, filter_, texts):
        return filter_(texts, {"url": pa.array([f"https://example.com/{len(text)}/casino" for text in texts])})


def reasons(urls, **options):
    return UrlBlocklist(**options)(["text"] * len(urls), {"url": pa.array(urls, pa.string())}).reasons


@pytest.fixture
def domains(tmp_path):
    file = tmp_path / "domains"
    file.write_text("# adult\nbad.example\nhttps://Shop.example.com/sale/\n日本.jp\n10.0.0.7\n", encoding="utf-8")
    return [str(file)]


@pytest.mark.parametrize(
    ("url", "dropped"),
    [
        ("http://bad.example/", True),
        ("https://www.bad.example:8080/x?y#z", True),
        ("HTTPS://BAD.EXAMPLE", True),
        ("bad.example/page", True),
        ("//bad.example/page", True),
        ("https://user:secret@bad.example./", True),
        ("https://notbad.example/", False),
        ("https://example/", False),
        ("https://good.example/?next=https://bad.example/", False),
        ("https://shop.example.com/sale/1", True),
        ("https://shop.example.com/sales", False),
        ("https://shop.example.com/", False),
        ("https://www.日本.jp/ページ", True),
        ("https://xn--wgv71a.jp/", True),
        ("http://10.0.0.7:80/", True),
        ("http://[::1]:80/", False),
        ("", False),
        (None, False),
        ("https://" + "a." * 9999 + "/" * 9999, False),
        ("https://" + "あ" * 300 + ".jp", False),
    ],
)
def test_a_domain_stands_for_what_is_below_it(domains, url, dropped):
    assert reasons([url], domains=domains) == ["blocked domain 1 > 0" if dropped else None]


def test_words_of_an_address_are_counted_whole():
    urls = ["https://porn.example/", "https://example.com/casino/xxx_1", "https://essex.example/pornography"]
    assert reasons(urls) == ["blocked words in the URL 1 > 0", "blocked words in the URL 2 > 0", None]
    assert reasons(urls, max_words=1) == [None, "blocked words in the URL 2 > 1", None]


def test_allowed_domains_go_before_the_lists(domains):
    urls = ["https://ja.bad.example/porn", "https://bad.example/porn"]
    assert reasons(urls, domains=domains, allow=["ja.bad.example"]) == [None, "blocked domain 1 > 0"]


def test_lists_and_column_are_the_users(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("natto\n", encoding="utf-8")
    judge = UrlBlocklist(column="source", words=[str(file)])
    assert judge.reads == ("source",)
    found = judge(["a", "b"], {"source": pa.array(["http://a.jp/natto", "http://a.jp/porn"])})
    assert found.reasons == ["blocked words in the URL 1 > 0", None]
    assert judge.depends() != UrlBlocklist(column="source").depends()


def test_rows_without_the_column_are_an_error_that_says_what_to_type():
    with pytest.raises(KonomiError, match=r"filter\.url_blocklist\.column="):
        UrlBlocklist()(["text"])
    with pytest.raises(KonomiError, match="column link"):
        UrlBlocklist(column="link")(["text"], {"url": pa.array(["http://a.jp"])})


def test_wrong_options_are_faults(tmp_path):
    wrong = UrlBlocklist(column="", domains=[str(tmp_path / "none")], max_words=-1)
    assert [fault.where for fault in wrong.check()] == ["column", "max_words", "domains"]
    assert list(UrlBlocklist().check()) == []


def test_entries_are_written_as_addresses_are_looked_up():
    assert plain_entry("http://Example.com/Path/") == "example.com/Path"
    assert Places.of("a.b.c/d/e?f").path == ["d", "e"]
