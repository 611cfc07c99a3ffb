"""Codes to the words people read; one place, so that pages and reports say the same."""

from __future__ import annotations

MODALITY_NAMES = {
    "obligation": "义务（应当）",
    "prohibition": "禁止（不得）",
    "permission": "授权（可以）",
    "encouragement": "倡导（鼓励）",
    "goal": "目标",
    "definition": "定义",
    "liability": "责任",
    "reference": "引用",
    "responsibility": "职责",
    "none": "陈述",
}
TIER_NAMES = {
    "state": "国家",
    "central": "中央部门",
    "province": "省级",
    "province_up": "省级以上",
    "city": "市级",
    "local": "地方政府",
    "authority": "主管部门",
    "organ": "国家机关",
    "body": "公共机构",
    "private": "企业等主体",
    "vertical": "垂直管理机构",
    "any": "未限定",
}
QUALITY_NAMES = {"complete": "完整", "doubtful": "可用有疑", "incomplete": "不完整"}
RULE_NAMES = {
    "4.5-1": "第1步 · 不属本地落实的事项",
    "4.5-2": "第2步 · 同一事项、要素不同",
    "4.5-3": "第3步 · 同一事项、要素齐备",
    "4.5-4": "第4步 · 同一事项、要素不全",
    "4.5-5": "第5步 · 国家规定直接适用、本地未作规定",
    "4.5-6": "第6步 · 需要本地落实、未见规定",
}
LABEL_CSS = {
    "已覆盖": "kb-l-covered",
    "部分覆盖": "kb-l-partial",
    "未覆盖": "kb-l-gap",
    "疑似不一致": "kb-l-differs",
    "直接适用无需配套": "kb-l-direct",
    "不适用": "kb-l-na",
    "待人工核定": "kb-l-open",
}
LABEL_COLORS = {
    "已覆盖": "#2e7d4f",
    "部分覆盖": "#a66f00",
    "未覆盖": "#c0392b",
    "疑似不一致": "#8e44ad",
    "直接适用无需配套": "#2c6fb3",
    "不适用": "#6f757e",
    "待人工核定": "#5d6470",
}
LABEL_HELP = {
    "已覆盖": "本地现行文件对同一义务作了规定，要素齐备",
    "部分覆盖": "本地有规定，但缺少部分要素",
    "未覆盖": "需要本地落实而未见规定",
    "疑似不一致": "本地对同一义务作了不同规定，建议核实",
    "直接适用无需配套": "国家规定有明确义务人，可直接适用",
    "不适用": "主体为国家、中央部门等，不由本地落实",
    "待人工核定": "把握不足，请人工判断",
}


def certainty(value: float) -> str:
    """How sure the machine is, in words with the figure."""
    word = "较高" if value >= 0.75 else "中等" if value >= 0.55 else "较低"
    return f"{word} {value:.0%}"
