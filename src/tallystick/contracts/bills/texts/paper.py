"""What people read about refusals of paper forms and booking.

Invariant: the texts are no part of consensus. See docs/spec/contracts/bills-paper.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason

TEXTS: dict[Reason, ReasonText] = {
    BillsReason.REV_PAPER_LIVE: ReasonText(
        "该票据的纸质票据尚未收回，不能冲红",
        "a paper form stands for the bill, so it cannot be reversed",
        "先收回并登记纸质票据；遗失的，声明遗失并等待期满",
        "recover the form first; if it is lost, declare that and wait until the time is over",
    ),
    BillsReason.PAPER_LIVE: ReasonText(
        "该票据已换开纸质票据，同一时间只能有一张有效",
        "a paper form stands for the bill already, and there is one at a time",
        "收回原纸质票据后再换开，或办理重打",
        "recover that form before another exchange, or reprint it",
    ),
    BillsReason.PAPER_NONE: ReasonText(
        "没有处于该状态的纸质票据",
        "no paper form of the bill is in the state that this takes",
        "查询该票据的换开现状：换开中、有效、遗失或已收回",
        "look up whether its form is printing, live, lost or recovered",
    ),
    BillsReason.PAPER_TYPE: ReasonText(
        "票种与换开方式不符",
        "the type does not fit: paper forms are exchanged for, all other numbers are issued",
        "换开使用该票种规定的纸质票据代码；开具使用电子票据代码",
        "exchange to a form of the type that the bill's rules name; issue with the code of a bill",
    ),
    BillsReason.BOOK_DUPLICATE: ReasonText(
        "该报销已入账，不能重复入账",
        "the claim is in the books already",
        "查询原入账记录；确需更正的先撤销入账",
        "look up that booking; to correct it, take it out of the books first",
    ),
    BillsReason.BOOK_EXCEEDS: ReasonText(
        "入账金额为零，或超过该报销现存的结算金额",
        "the amount is zero, or more than what stands of the settlement",
        "按结算金额扣除追回后的余额入账",
        "book at most what was settled, less what was clawed back",
    ),
    BillsReason.BOOK_UNKNOWN: ReasonText(
        "没有本单位的这项报销或入账",
        "there is no such claim, or booking, of your organisation",
        "核对票据号码和报销序号；只有报销该票据的单位可以入账",
        "check the bill and the claim's ordinal; only who settled a claim books it",
    ),
}
