"""Texts that people compare by looking."""

from __future__ import annotations

import pytest

from service.texts import email_address, host_name, invisible, is_blank, printable


@pytest.mark.parametrize(
    "text",
    [
        "a\u200bb",
        "a\u202eb",
        "a\u2066b",
        "\ufeffa",
        "a\u00adb",
        "a\x00",
        "a\u2028b",
        "a\U000e0041",
        "a\u200db",
        "\u200d",
        "a\u034f",
        "a\ufe0f",
        "owner\u3164",
        "a\u17b4b",
    ],
)
def test_what_can_not_be_seen_is_found(text: str) -> None:
    assert invisible(text) is not None


@pytest.mark.parametrize("text", ["Ada", "Été", "👩\u200d💻", "نمی\u200cخواهم", "日本語", "a b", "❤\ufe0f"])
def test_what_can_be_seen_is_let_be(text: str) -> None:
    assert invisible(text) is None
    assert not is_blank(text)


@pytest.mark.parametrize("text", ["", "   ", "\u3164", "\u115f\u1160", "\u2800", "\u00a0\u3000"])
def test_what_is_drawn_as_nothing_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("Ada@Example.com", "ada@example.com"), ("ade\u0301@example.com", "adé@example.com"),
        ("a@Müller.example", "a@xn--mller-kva.example"), ("a@mu\u0308ller.example", "a@xn--mller-kva.example"),
        ("a@xn--mller-kva.example", "a@xn--mller-kva.example"), ("a@example.com.", "a@example.com"),
    ],
)  # fmt: skip
def test_an_address_has_one_spelling(text: str, spelled: str) -> None:
    assert email_address(text) == spelled
    assert email_address(spelled) == spelled


def test_a_host_name_that_can_not_be_one_is_refused() -> None:
    for text in ("a\u2024b.example", "ab\ufffd.example", "-ü-.example"):
        with pytest.raises(ValueError, match="no host name"):
            host_name(text)


def test_a_terminal_is_told_codes_of_what_it_would_obey() -> None:
    assert printable("a\x1b[2Jb\u202ec\u200bd\ne") == "a\\u001b[2Jb\\u202ec\\u200bd\ne"
