"""What an office and a reimburser's desk say before anything reaches the ledger, for people.

Invariant: every word that they answer with beside the ledger's has a text.
See docs/spec/refusals.md.
"""

from __future__ import annotations

from tallystick.apps.bills import claim_orders as desk
from tallystick.apps.bills.office import MALFORMED, NEVER_SENT
from tallystick.contracts.kit.reasons import ReasonText

TEXTS: dict[str, ReasonText] = {
    MALFORMED: ReasonText(
        *("内容不符合格式", "a field is out of bounds or has no such form"),
        *("按所示字段改正后重试", "mend the field that is named and try again"),
    ),
    NEVER_SENT: ReasonText(
        *("未曾提交，号码可再用", "it was never sent; its number is free again"),
        *("重新开具", "issue it again"),
    ),
    desk.MALFORMED: ReasonText(
        *("内容不符合格式", "a field is out of bounds or has no such form"),
        *("按所示字段改正后重试", "mend the field that is named and try again"),
    ),
    desk.UNKNOWN: ReasonText(
        *("本单位台账中没有这笔报销", "the book has no such claim"),
        *("用 tally claims list 查找", "look for it with tally claims list"),
    ),
    desk.STATE: ReasonText(
        *("该笔报销所处状态不能如此办理", "the claim is not in a state for this"),
        *(
            "先运行 tally claims refresh，再查看其状态",
            "run tally claims refresh, then see how it stands",
        ),
    ),
    desk.OPEN: ReasonText(
        *(
            "该票据同一用途已有未结报销，但金额或条件不同",
            "a claim on this bill for this purpose is open, for another amount or other terms",
        ),
        *("先解锁，再按新的条件锁定", "release it, then lock it anew"),
    ),
    desk.TWICE: ReasonText(
        *("同一批中出现两次", "it stands twice in what was handed in"),
        *("删去一处", "leave one of them out"),
    ),
    desk.CASE_SIZE: ReasonText(
        *(
            "一个案件的票据超过一笔交易的上限，无法全有或全无",
            "a case has more bills than one transaction holds, to be done all or none",
        ),
        *("分成几个案件", "divide it into several cases"),
    ),
}
