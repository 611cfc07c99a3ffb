"""A tiny invented corpus for the tests of review, reports, drafts and pages: two national texts, two local ones, one peer."""

from __future__ import annotations

from pathlib import Path

from kb.index import Library, build
from kb.settings import Settings, load_settings

NATIONAL = """测试数据管理办法

第一章 总则
第一条 为了规范测试数据管理，制定本办法。
第二条 本办法所称测试数据，是指为检验系统功能而产生的任何记录。
第三条 县级以上地方人民政府应当建立测试数据管理协调机制，统筹解决测试数据管理中的重大问题。
第二章 管理
第四条 测试数据处理者应当每年度开展测试数据风险评估，并向省级以上有关主管部门报送风险评估报告。
第五条 市级数据主管部门应当编制测试数据目录，并在三十日内向社会公布。
第六条 测试数据处理者不得向他人出售测试数据。
第七条 国家鼓励测试数据的开发利用。
第八条 本办法自2025年1月1日起施行。
"""
# words that a spreadsheet or a browser would run if they were not kept as text
HOSTILE = """=HYPERLINK("http://x.test")与<script>alert(1)</script>管理规定

第一条 各地区应当建立<b>加粗</b>数据台账，=1+1，@SUM(A1)，并于每年3月底前报送。
第二条 地方各级数据管理部门应当编制|竖线|清单。
第三条 本规定自2025年2月1日起施行。
"""
LOCAL = """深圳市测试数据条例

第一条 为了规范本市测试数据管理，制定本条例。
第二条 本条例所称测试数据，是指为检验系统功能而产生的任何记录。
第三条 市人民政府应当建立测试数据管理协调机制，统筹解决测试数据管理中的重大问题。
第四条 测试数据处理者应当按照有关规定定期开展测试数据风险评估，并向有关主管部门报送风险评估报告。
第五条 测试数据处理者不得向他人出售测试数据。
第六条 本条例自2024年1月1日起施行。
"""
PROVINCE = """广东省测试数据促进办法

第一条 为了促进测试数据发展，制定本办法。
第二条 省数据主管部门应当推动测试数据开发利用。
第三条 本办法自2024年5月1日起施行。
"""
PEER = """上海市测试数据条例

第一条 为了规范测试数据管理，制定本条例。
第二条 测试数据处理者应当每年度开展一次测试数据风险评估，并向市主管部门报送报告。
第三条 本条例自2024年6月1日起施行。
"""
DRAFT = """深圳市测试数据目录管理办法（征求意见稿）

第一条 根据《测试数据管理办法》第五条、第九十九条，制定本办法。
第二条 市数据主管部门应当编制测试数据目录，并在三十日内向社会公布。
第四条 违反前款规定的，依法处理。
第五条 本办法自2026年1月1日起施行。
"""
FILES = {
    "national/测试数据管理办法.md": NATIONAL,
    "national/台账管理规定.md": HOSTILE,
    "shenzhen/深圳市测试数据条例.md": LOCAL,
    "guangdong/广东省测试数据促进办法.md": PROVINCE,
    "peers/上海市测试数据条例.md": PEER,
}


def write_corpus(folder: Path) -> Path:
    """The files under `folder`/corpus."""
    for name, text in FILES.items():
        path = folder / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "corpus"


def settings_for(folder: Path) -> Settings:
    """Settings that read and write under `folder` only, with the quick test encoder."""
    return load_settings({"corpus": str(folder / "corpus"), "index": str(folder / "index"), "encoder": "hash"}, {})


def build_library(folder: Path) -> Library:
    """A library over the invented corpus (or over what stands in `folder`/corpus already)."""
    if not (folder / "corpus").is_dir():
        write_corpus(folder)
    settings = settings_for(folder)
    build(settings)
    return Library(settings)
