"""What people read about refusals of accounting, archive, erasure, offline issue and succession.

Invariant: the texts are no part of consensus. See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason

TEXTS: dict[Reason, ReasonText] = {
    BillsReason.ACCOUNT_GAP: ReasonText(
        "号段内尚有未说明去向的票号，不能核销",
        "numbers of the block are unexplained, so it cannot be accounted for",
        "列出这些票号，逐一开具、作废或交回后再核销",
        "list those numbers; issue, void or give back each of them first",
    ),
    BillsReason.ACCOUNT_SUM: ReasonText(
        "核销份数、金额或清册根与账本或对方的统计不一致",
        "counts, sums or root are not those of the ledger or of the other side",
        "重新统计；仍不一致的，由审核方退回并指明票号",
        "count again; if it still differs the reviewer returns it and names the numbers",
    ),
    BillsReason.ACCOUNT_STATE: ReasonText(
        "该核销的当前状态不允许此操作",
        "the account is not in a state for this act",
        "查询核销状态：待审核、已退回或已通过",
        "look up whether it is submitted, returned or accepted",
    ),
    BillsReason.ACCOUNT_CHILDREN: ReasonText(
        "下级核销尚未全部通过，或所报下级份数不符",
        "accounts of the level below are missing, or are not as many as stated",
        "先完成下级核销，再按已通过的份数上报",
        "have those accepted first, then state how many they are",
    ),
    BillsReason.ACCOUNT_UNKNOWN: ReasonText(
        "没有这份核销",
        "there is no such account",
        "核对核销编号：号段编号，或 单位/票种/月份",
        "check its id: the block's, or ORG/TYPE/MONTH",
    ),
    BillsReason.NOT_REVIEWER: ReasonText(
        "本单位不是该核销的审核单位",
        "your organisation does not review this account",
        "由核销中载明的审核单位办理",
        "ask the reviewer whom the account names",
    ),
    BillsReason.PERIOD_OPEN: ReasonText(
        "该月份尚未结束，不能核销",
        "the month is not over yet",
        "月末之后再核销",
        "account for it when it has ended",
    ),
    BillsReason.PERIOD_CLOSED: ReasonText(
        "开票时间所在月份已关账",
        "the month of the issue time is closed",
        "改用未关账月份的开票时间，或由审核单位退回该月核销",
        "date the bill in an open month, or have the reviewer return that month's account",
    ),
    BillsReason.STOCK_LIMIT: ReasonText(
        "未核销的票号或号段已达上限，核旧方可领新",
        "the holder has as many unaccounted numbers or blocks as the type allows",
        "先核销或交回已领号段",
        "account for what it has, or have it given back, before granting more",
    ),
    BillsReason.MANIFEST_MISMATCH: ReasonText(
        "归档清册与已通过的核销不一致",
        "the manifest is not that of the accepted account",
        "按已通过核销的清册根和份数归档；汇总核销的票据由下级分别归档",
        "archive exactly the bills of the accepted account; a sum of accounts has none of its own",
    ),
    BillsReason.RETENTION: ReasonText(
        "保管期限未满，或所填期限过短",
        "the retention term is not over, or the stated one is too short",
        "期满后再销毁；提前销毁须有法定命令",
        "wait for its end, or state a later one; earlier erasure takes a legal order",
    ),
    BillsReason.HELD: ReasonText(
        "已被依法冻结保存，期满亦不得销毁",
        "a legal hold keeps it",
        "由作出保全的单位解除后再办理",
        "have whoever stated the hold lift it",
    ),
    BillsReason.ERASURE_UNKNOWN: ReasonText(
        "没有针对本单位副本的销毁命令",
        "there is no order to erase a copy of yours",
        "核对票据号码和销毁命令中的单位",
        "check the bill's number and whom the order names",
    ),
    BillsReason.ERASURE_COPIES: ReasonText(
        "销毁命令所列副本重复或过多",
        "the order names a copy twice, or too many",
        "每个持有单位只列一次，合计不超过十六个",
        "name each organisation once, sixteen in all",
    ),
    BillsReason.OFFLINE_ONLY: ReasonText(
        "离线备用号段只能离线开具，其他号段不能离线开具",
        "an offline reserve is for offline issue alone, and no other block is",
        "换用相应的号段或开具方式",
        "choose another block, or the other way to issue",
    ),
    BillsReason.SUCCESSION_INVALID: ReasonText(
        "承接关系不成立",
        "the succession is not in order",
        "核对双方单位：不得为同一单位、不得循环承接、不得重复承接",
        "check both organisations: never the same, in a circle, or twice",
    ),
}
