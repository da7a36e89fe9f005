"""What to do about each difference that a reconciliation finds, for people.

Invariant: every difference has an action, and a text in both languages.
See docs/spec/reconciliation.md.
"""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """An action and its texts."""

    action: str
    zh: str
    en: str


ADVICE: dict[str, Advice] = {
    "issue": Advice(
        "issue",
        "此处没有该票据：以原业务号向前置机开具；若当时未收款，则在贵方台账中删去",
        "there is no such bill here: issue it under its business code; if nothing was paid, strike "
        "it from your list",
    ),
    "reverse_unknown": Advice(
        "reverse",
        "贵方台账没有该票据：核实未收款或已退款后冲红；若确有收款，则补记台账",
        "your list has no such bill: reverse it once it is sure that nothing was paid, or that it "
        "was paid back; else add it to your list",
    ),
    "reverse_refunded": Advice(
        "reverse",
        "贵方已退款而票据仍有效：冲红",
        "you have paid it back and the bill still stands: reverse it",
    ),
    "amount": Advice(
        "replace",
        "金额不一致：以原始凭证为准；票据有误则冲红重开，台账有误则更正台账",
        "the amounts differ: go by the original voucher; replace the bill if that is wrong, mend "
        "your list if that is",
    ),
    "reversed_here": Advice(
        "mend_list",
        "票据已冲红而贵方记为有效：核实是否已退款，更正台账；仍需票据的另行开具",
        "the bill is reversed and you take it for valid: see that the money went back, mend your "
        "list; if a bill is needed, issue another",
    ),
    "reversed_unknown": Advice(
        "mend_list",
        "此处有红票或已冲红的票据而贵方台账没有：补记开票与退款两笔",
        "a refund, or a bill that was reversed, is not in your list: add both the bill and the "
        "refund",
    ),
    "partly": Advice(
        "look",
        "部分冲红的情况不一致：核对退款明细，按差额冲红或更正台账",
        "what was reversed in part differs: compare the refunds, then reverse the rest or mend "
        "your list",
    ),
    "wait": Advice(
        "wait",
        "票据已签名、尚未入账：等候账本，稍后重新对账；切勿重开",
        "it is signed and not on the ledger yet: wait and reconcile again; never issue it anew",
    ),
    "refused": Advice(
        "issue",
        "账本未接受该票据：以新的 ref 重开，并申报该号码作废",
        "the ledger did not take it: issue it anew under a new ref, and declare the number void",
    ),
    "paper_missing": Advice(
        "exchange",
        "贵方记有纸质票据而账本没有：核对实物；确已交付的补办换开并确认",
        "you have a paper form for it and the ledger has none: look for the sheet; if it was "
        "handed over, exchange and confirm it",
    ),
    "paper_other": Advice(
        "look_paper",
        "纸质票据号码不一致：以实物为准，更正台账，或作废后重新换开",
        "the numbers of the paper form differ: go by the sheet; mend your list, or void it and "
        "exchange anew",
    ),
    "paper_here": Advice(
        "mend_list",
        "账本记有纸质票据而贵方没有：核对是否已交付或收回，更正台账",
        "the ledger has a paper form for it and you have none: see whether it was handed over or "
        "came back, mend your list",
    ),
    "place": Advice(
        "mend_list",
        "开票点、班次或营业日不一致：票据以开具时所写为准，更正台账",
        "place, shift or business day differ: the bill goes by what was said when it was issued; "
        "mend your list",
    ),
    "duplicate": Advice(
        "strike",
        "同一票据在贵方台账中出现多次：删去重复记录；若收款两次则退款",
        "your list has this bill more than once: strike the repetition; if it was paid twice, pay "
        "it back",
    ),
}
