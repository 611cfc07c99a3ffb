"""Retrieval over many laws: the numbers of a tiny collection, by hand."""

from kb.cache import Cache
from kb.embed import load_encoder
from kb.statutes import Article, Question, evaluate_statutes

ARTICLES = [
    Article("a1", "某法", "第一章 总则", "网络运营者应当采取技术措施防止数据泄露。"),
    Article("a2", "某法", "第一章 总则", "用人单位应当按月支付劳动报酬。"),
    Article("a3", "另法", "", "承租人经出租人同意，可以转租。"),
]


def test_an_article_with_the_words_of_the_question_is_found_first_by_words(tmp_path):
    questions = [Question("劳动报酬多久支付", frozenset({"a2"})), Question("可以转租吗", frozenset({"a3", "a1"}))]
    report = evaluate_statutes(ARTICLES, questions, load_encoder("hash"), Cache(tmp_path / "cache.db"))
    assert report["n"] == 2 and set(report["parts"]) == {"hybrid", "lexical", "dense"}
    # the first question finds 1 of 1, the second 1 of 2: the mean is 0.75
    assert report["parts"]["lexical"]["recall@10"] == 0.75
    assert report["parts"]["lexical"]["mrr@10"] == 1.0


def test_without_an_encoder_there_are_only_words(tmp_path):
    report = evaluate_statutes(ARTICLES, [Question("转租", frozenset({"a3"}))], None, Cache(tmp_path / "cache.db"))
    assert set(report["parts"]) == {"lexical"} and report["recall@5"] == 1.0
