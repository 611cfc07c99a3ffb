"""Chinese numerals both ways."""

from __future__ import annotations

import pytest

from kb.numerals import article_label, article_number, to_chinese, to_int


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("十", 10),
        ("十二", 12),
        ("二十", 20),
        ("一百零一", 101),
        ("一百一十", 110),
        ("一百", 100),
        ("二百五十三", 253),
        ("一千零四十", 1040),
        ("一千二百五十四", 1254),
        ("二〇二五", 2025),
        ("○", 0),
        ("两", 2),
        ("101", 101),
        ("２５３", 253),
        ("三万", 30000),
    ],
)
def test_a_numeral_has_its_value(text, value):
    assert to_int(text) == value


def test_every_number_up_to_9999_survives_the_round_trip():
    assert all(to_int(to_chinese(n)) == n for n in range(1, 10_000))


@pytest.mark.parametrize("text", ["", "甲", "第一", "一.五"])
def test_what_is_no_numeral_is_refused(text):
    with pytest.raises(ValueError, match="not a numeral"):
        to_int(text)


@pytest.mark.parametrize("value", [0, -1, 10_000])
def test_numbers_outside_statute_numbering_are_refused(value):
    with pytest.raises(ValueError, match="outside"):
        to_chinese(value)


@pytest.mark.parametrize(
    ("label", "number"),
    [
        ("第二百五十三条之一", (253, 1)),
        ("第3条", (3, 0)),
        ("第一百条", (100, 0)),
        ("第十条", (10, 0)),
        ("第 八 条", (8, 0)),
        ("第三条之一之二", (3, 1, 2)),
    ],
)
def test_an_article_label_has_a_sort_key(label, number):
    assert article_number(label) == number


def test_labels_are_canonical():
    assert [article_label(n) for n in ((253, 1), (101, 0), 7, (3, 1, 2))] == [
        "第二百五十三条之一",
        "第一百零一条",
        "第七条",
        "第三条之一之二",
    ]
