"""What `tally verify` says in Chinese: verdicts, steps, labels; and what it leaves unproven.

Invariant: every verdict and every step of the verifier has its word here (tested).
See docs/spec/receipt.md.
"""

from __future__ import annotations

import re

from tallystick.cli import out

VERDICTS_ZH = {
    "GOOD": "真实，已入账，现行有效",
    "ACCEPTED": "真实，已入账",
    "REFUSED": "真实，但账本已拒绝",
    "NOT_GOOD": "真实，但现已失效（冲红、作废、冻结等，见状态）",
    "EXPIRED": "真实，但已到期",
    "ABSENT": "真实：账本上没有此项",
    "STALE": "真实，但状态已过时",
    "NO_STATUS": "真实，已入账，但未附状态证明",
    "OTHER": "真实，但不是所查的票据",
    "NOT_FOR_YOU": "真实，但出示对象或用途不是您所问的",
    "FALSE": "不真实，请勿采信",
    "UNREADABLE": "无法读取",
}
LIMITS = {
    "GOOD": (
        "Not proven: that the bill's private body is true, who shows this, what came after as-of.",
        "未证明：票据明细内容属实、出示者身份，以及“截至”时间之后的变化。",
    ),
    "ACCEPTED": (
        "Not proven: whether it was reversed or frozen since (ask with --status), its private "
        "body, or who shows this.",
        "未证明：此后是否冲红或冻结（加 --status 查询）、票据明细内容、出示者身份。",
    ),
}
STEPS_ZH = {
    "item hash": "条目摘要",
    "items root": "条目根",
    "header": "交易头",
    "tx_id": "交易编号",
    "signature": "发送方签名",
    "leaf": "日志条目",
    "log path": "日志路径",
    "checkpoint": "快照",
    "log signature": "日志签名",
    "policy": "信任策略",
    "block leaf": "区块条目",
    "row key": "状态键",
    "row": "状态",
    "row's entry": "状态所属条目",
    "as-of": "截至",
}
LABELS_ZH = {
    "by": "办理单位",
    "action": "操作",
    "at": "时间",
    "refused": "拒绝原因",
    "about": "对象",
    "state": "状态",
    "vouched by": "见证单位",
    "as-of": "截至",
    "there is no such row": "没有此项",
    "the operator alone": "仅经营方",
    "documents": "份文件",
    "verdict": "结论",
    "means": "含义",
}
_FAILED_STEP = re.compile(r"step (\d+), ([^:]+): ")


def label(text: str) -> str:
    """One of our labels in the reader's language; what a domain adds to a row stays as it is."""
    return LABELS_ZH.get(text, text) if out.language() == "zh" else text


def step(what: str) -> str:
    """The name of a step in the reader's language."""
    return STEPS_ZH.get(what, what) if out.language() == "zh" else what


def failed(error: str) -> str:
    """What is wrong with a document, and at which step, in the reader's language."""
    from tallystick.cli.forms import in_words

    told = in_words(error, out.language())
    found = _FAILED_STEP.match(told)
    if found is None or out.language() != "zh":
        return told
    return f"第 {found[1]} 步，{step(found[2])}：{told[found.end() :]}"
