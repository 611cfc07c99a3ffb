"""The cross-encoder: what it is shown of an article, what it says of a pair, how its training pairs come about."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.cross_encoder import RELATIONS, WINDOW, CrossEncoder, default_cross_encoder, shared_runs, window
from kb.errors import EncoderError
from kb.reading import relation_features

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

DUTY = "数据处理者应当按照规定对其数据处理活动每年开展一次风险评估，并向主管部门报送风险评估报告。"
SAME = "第九条　数据处理者应当按照规定对其数据处理活动每年开展一次风险评估，并向主管部门报送风险评估报告。"
OTHER = "第三条　市人民政府应当加强对绿化工作的领导，将绿化经费列入本级财政预算。"


@given(st.integers(0, 900), st.integers(0, 400), st.integers(0, 900))
def test_a_window_holds_the_rule_and_never_more_than_its_size(before, length, after):
    text = "前" * before + "则" * length + "后" * after
    seen = window(text, before, before + length)
    assert len(seen.replace("…", "")) <= WINDOW
    assert seen.count("则") == min(length, WINDOW)
    if len(text) <= WINDOW:
        assert seen == text


def test_cuts_of_a_window_are_marked():
    text = "前" * 300 + "则" + "后" * 300
    assert window(text, 300, 301).startswith("…前") and window(text, 300, 301).endswith("后…")
    assert not window(text, 0, 1).startswith("…")


def test_a_pair_has_the_same_shares_whatever_is_read_with_it():
    alone = default_cross_encoder().read([(DUTY, SAME)])
    among = default_cross_encoder().read([(DUTY, OTHER), (OTHER, DUTY), (DUTY, SAME)])
    assert (alone[0] == among[2]).all()
    assert among.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_a_copy_answers_and_another_subject_does_not():
    copy, other = default_cross_encoder().read([(DUTY, SAME), (DUTY, OTHER)])
    assert RELATIONS[int(copy.argmax())] == "covered"
    assert RELATIONS[int(other.argmax())] in ("none", "related")


@pytest.mark.parametrize("text", ["", "😀", "\ud800数据", "\x00\x01", "數據處理者應當", "数据" * 25_000])
def test_any_text_gives_finite_shares(text):
    shares = default_cross_encoder().read([(text, SAME), (DUTY, text)])
    assert shares.shape == (2, len(RELATIONS)) and np.isfinite(shares).all()


def test_no_pairs_give_no_rows():
    assert default_cross_encoder().read([]).shape == (0, len(RELATIONS))


def test_a_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(EncoderError) as caught:
        CrossEncoder(tmp_path)
    assert "reinstall" in caught.value.hint


def test_tokens_of_a_shared_run_are_marked():
    # 7 stands alone in both; 1 2 is a run of two; 3 4 5 6 one of four
    got = shared_runs([1, 2, 8, 7, 3, 4, 5, 6], [3, 4, 5, 6, 0, 1, 2, 0, 7])
    assert got.T.tolist() == [
        [1, 1, 0, 1, 1, 1, 1, 1],
        [1, 1, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 1, 1, 1, 1],
    ]
    assert shared_runs([], [1]).shape == (0, 3)


def test_relation_features_are_log_odds():
    shares = np.array([0.1, 0.2, 0.3, 0.35, 0.05])
    got = relation_features(shares)
    assert got["rel_none"] == pytest.approx(math.log(0.1 / 0.9))
    assert got["rel_answers"] == pytest.approx(math.log(0.7 / 0.3))  # .3 + .35 + .05
    assert relation_features(np.array([1.0, 0, 0, 0, 0]))["rel_none"] == pytest.approx(math.log(0.998 / 0.002))


SENTENCE = "经营者应当在三十日内向主管部门备案，并报送材料，接受监督。"


@pytest.mark.parametrize(
    ("kind", "relation"),
    [("copy", "covered"), ("gone", "related"), ("clause", "partial"), ("number", "conflict"), ("verb", "conflict")],
)
def test_a_planted_change_is_one_change_with_a_known_relation(kind, relation):
    train_cross_encoder = pytest.importorskip("train_cross_encoder")
    changed, got = train_cross_encoder.change(SENTENCE, kind, random.Random(0))
    assert got == relation
    assert (changed == SENTENCE) == (kind == "copy")
    assert len(changed.split("，")) == {"clause": 2, "gone": 1}.get(kind, 3)


def test_a_change_that_does_not_apply_is_none():
    train_cross_encoder = pytest.importorskip("train_cross_encoder")
    assert train_cross_encoder.change("本条例适用于本市。", "number", random.Random(0)) is None


@pytest.mark.parametrize(
    ("side", "replacements", "expected"),
    [
        ("passage", [["三十日", "六十日"]], ("甲应当备案。", "经营者应当在六十日内备 案。")),
        ("passage", [["备案", "审批"]], ("甲应当备案。", "经营者应当在三十日内审批。")),  # white space does not count
        ("duty", [["甲", "乙"], ["备案", "报告"]], ("乙应当报告。", "经营者应当在三十日内备 案。")),
        ("passage", [["年", "月"]], None),  # not there
        (
            "passage",
            [["十", "百"], ["百", "千"], ["者", "人"], ["在", ""]],
            ("甲应当备案。", "经营人应当三千日内备 案。"),
        ),
    ],
)
def test_an_edited_pair_is_the_text_with_its_replacements(side, replacements, expected):
    train_cross_encoder = pytest.importorskip("train_cross_encoder")
    assert train_cross_encoder.edited("甲应当备案。", "经营者应当在三十日内备 案。", side, replacements) == expected


def test_a_piece_that_stands_twice_is_no_edit():
    train_cross_encoder = pytest.importorskip("train_cross_encoder")
    assert train_cross_encoder.edited("甲应当备案。", "应当甲，应当乙。", "passage", [["应当", "可以"]]) is None
    assert train_cross_encoder.edited(None, "应当甲。", "passage", []) is None


def test_a_written_passage_stands_in_an_article():
    train_cross_encoder = pytest.importorskip("train_cross_encoder")
    text = "第五条　市网信部门应当每年公布检查结果。"
    others = ["经营者应当保存交易记录，期限不少于三年。"]
    got = train_cross_encoder.in_article(text, others)
    assert "市网信部门应当每年公布检查结果。" in got and "第五条" not in got
    assert got == train_cross_encoder.in_article(text, others)
    assert got.replace(others[0], "").lstrip("…第二三四五六七八九十条　") == "市网信部门应当每年公布检查结果。"


def test_the_graph_computes_what_was_trained():
    """The shipped 8-bit graph against the training code with the same weights in float."""
    torch = pytest.importorskip("torch")
    train_cross_encoder = pytest.importorskip("train_cross_encoder")
    from kb.cross_encoder import DUTY_TOKENS, FOLDER, PASSAGE_TOKENS

    joint = train_cross_encoder.Joint({k: torch.from_numpy(v) for k, v in train_cross_encoder.unpacked(FOLDER).items()})
    joint.load(train_cross_encoder.unpacked(FOLDER))
    model = default_cross_encoder()
    sides = [
        [model._run_lower(t, n) for t, n in zip(p, (DUTY_TOKENS, PASSAGE_TOKENS), strict=True)]
        for p in ((DUTY, SAME), (DUTY, OTHER))
    ]
    states = [[train_cross_encoder.Lower(ids, torch.from_numpy(x[0])) for ids, x in each] for each in sides]
    with torch.no_grad():
        expected = joint(states).softmax(1).numpy()
    assert model.read([(DUTY, SAME), (DUTY, OTHER)]) == pytest.approx(expected, abs=0.03)
