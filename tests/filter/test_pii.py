import pytest

from konomi.filter._personal import is_my_number, is_telephone
from konomi.filter.pii import Pii
from konomi.testing.filter import FilterSuite
from konomi.units import arrow_texts


class TestPii(FilterSuite):
    plugin = Pii


class TestPiiOfEveryKind(FilterSuite):
    plugin = Pii

    def make(self):
        return Pii(only_public_ips=False, postal_code=True, my_number=True, mask="*")


def masked(text, **options):
    return Pii(**options)([text]).texts[0]


@pytest.mark.parametrize(
    "number",
    [
        *("03-1234-5678", "06-1234-5678", "075-123-4567", "0166-12-3456", "09808-1-2345"),
        *("090-1234-5678", "080 1234 5678", "07012345678", "050-1234-5678", "０９０－１２３４－５６７８"),
        *("03(1234)5678", "(03)1234-5678", "（03）1234-5678", "03ー1234ー5678", "03 - 1234 - 5678", "03−1234−5678"),
        *("0120-123-456", "0120-12-3456", "0120123456", "0800-123-4567", "08001234567", "0570-12-3456"),
        *("+81-3-1234-5678", "+81 90 1234 5678", "+819012345678", "+81-(0)90-1234-5678", "(+81)3-1234-5678"),
        *("+1 415 555 2671", "+44 20 7946 0958", "+1-415-555-2671", "415-555-2671", "(415) 555-2671"),
    ],
)
def test_telephone_numbers_are_masked_in_every_format(number):
    for before, after in (("", ""), ("電話は", "まで。"), ("TEL: ", " (平日)"), ("(", ")")):
        assert masked(f"{before}{number}{after}") == f"{before}[PHONE]{after}", number


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2024-01-15",
            "1990-2024",
            "10:30-12:00",
            "ISBN978-4-06-519981-3",
            "4-06-519981-3",
            "1,000,000円",
            "3.14159265358",
        ),
        *("0.0312345678", "00-1234-5678", "03-1234-567", "03-1234-56789", "090-123-4567", "12-0312-3456-7890"),
        *("0312345678", "123-456-7890", "915-155-2671", "id_090-1234-5678", "v03-1234-5678", "1-03-1234-5678"),
        *("/090-1234-5678", "+1", "+12", "1+2345", "100+200+300", "価格は03000円", "2024 12 31 2359"),
    ],
)
def test_what_is_only_like_a_telephone_number_stays(text):
    assert masked(f"これは {text} です") == f"これは {text} です"


def test_numbers_in_one_piece_are_masked_after_a_word_that_says_so():
    assert masked("TEL 0312345678 / 電話：０３１２３４５６７８") == "TEL [PHONE] / 電話：[PHONE]"


@pytest.mark.parametrize(
    "address",
    ["a@b.jp", "taro.yamada+news@mail.example.co.jp", "USER_1%x@EXAMPLE.COM", "taro＠example.com", "a-b@x-y.museum"],
)
def test_mail_addresses_are_masked(address):
    assert masked(f"宛先は{address}です。<{address}>, {address}.") == "宛先は[EMAIL]です。<[EMAIL]>, [EMAIL]."


@pytest.mark.parametrize(
    "text", ["@taro", "taro@", "a@b", "user@localhost", "x @ y.jp", "@dataclass", "a@-b.jp", "a@b..jp", "価格@100"]
)
def test_what_is_only_like_a_mail_address_stays(text):
    assert masked(text) == text


@pytest.mark.parametrize("address", ["8.8.8.8", "203.0.114.7", "2001:4860:4860::8888", "2a00:1450:4009:80b::200e"])
def test_ip_addresses_are_masked(address):
    assert masked(f"接続元は{address}です ({address}:80)" if "." in address else f"接続元は{address}です") in (
        "接続元は[IP]です ([IP]:80)",
        "接続元は[IP]です",
    )


@pytest.mark.parametrize(
    "text",
    ["256.1.1.1", "1.2.3", "1.2.3.4.5", "v1.2.3.4", "std::vector", "10:20:30", "::", "a::b", "12:30:45:00", "f::x"],
)
def test_what_is_only_like_an_ip_address_stays(text):
    assert masked(text, only_public_ips=False) == text


def test_addresses_that_name_nobody_stay_unless_told_otherwise():
    text = "192.168.0.1 127.0.0.1 10.1.2.3 fe80::1 2001:db8::1"
    assert masked(text) == text
    assert masked(text, only_public_ips=False) == "[IP] [IP] [IP] [IP] [IP]"


def test_postal_codes_are_an_option():
    text = "〒100-0001 東京都、〒1000001、530-0001 大阪市。1100-0001、100-00012"
    assert masked(text) == text
    assert (
        masked(text, postal_code=True)
        == "〒[POSTAL_CODE] 東京都、〒[POSTAL_CODE]、[POSTAL_CODE] 大阪市。1100-0001、100-00012"
    )


def test_my_numbers_are_an_option_and_their_last_digit_must_fit():
    text = "番号は123456789018、1234-5678-9018、1234 5678 9018、１２３４５６７８９０１８。123456789012、1234567890189"
    assert masked(text) == text
    expected = "番号は[MY_NUMBER]、[MY_NUMBER]、[MY_NUMBER]、[MY_NUMBER]。123456789012、1234567890189"
    assert masked(text, my_number=True) == expected
    assert sum(is_my_number(f"98765432109{digit}") for digit in range(10)) == 1
    assert not is_my_number("12345678901")


def test_what_was_masked_is_counted_by_kind():
    verdicts = Pii(postal_code=True)(["a@b.jp, a@b.jp, 03-1234-5678, 8.8.8.8", "〒100-0001", "何もない"])
    assert {name: values.tolist() for name, values in verdicts.scores.items()} == {
        "emails": [2, 0, 0],
        "ips": [1, 0, 0],
        "phones": [1, 0, 0],
        "postal_codes": [0, 1, 0],
    }
    assert verdicts.reasons == [None, None, None]


def test_texts_without_any_stay_null():
    found = Pii().annotate(arrow_texts(["何もない", "a@b.jp", "@ 03-1", "\ud800 a@b.jp"]))
    assert found.texts.is_null().to_pylist() == [True, False, True, False]


def test_kinds_and_mask_are_options():
    text = "a@b.jp 03-1234-5678 8.8.8.8"
    assert masked(text, email=False, mask="") == "a@b.jp  "
    assert masked(text, phone=False, mask="<{kind}>") == "<EMAIL> 03-1234-5678 <IP>"
    assert masked(text, ip=False, mask=r"\1") == r"\1 \1 8.8.8.8"


def test_long_runs_take_no_long_time():
    runs = ("a", "0", "0-", "+1", "+1 ", "(+1)", "1:", "a.", "03 ", "TEL ", "090-1", "１")
    texts = [run * 60_000 + end for run in runs for end in ("", "@b", "x")]
    assert Pii(my_number=True, postal_code=True)(texts).texts == texts


def test_digits_say_whether_a_number_can_be_dialled():
    assert is_telephone("0312345678") and not is_telephone("0012345678")
    assert is_telephone("+8612345678901") and not is_telephone("+1234567")


@pytest.mark.parametrize(
    ("options", "where"), [({"email": False, "phone": False, "ip": False}, "email"), ({"mask": "{name}"}, "mask")]
)
def test_wrong_options_are_faults(options, where):
    assert [fault.where for fault in Pii(**options).check()] == [where]
