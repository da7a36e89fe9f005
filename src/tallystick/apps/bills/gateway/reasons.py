"""What a gateway says no with, beside what the ledger, the office and the web say.

Invariant: append-only; a word is never reused and never changes its meaning.
See docs/spec/refusals.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.apps.bills.outcome_words import TEXTS as OF_DESKS
from tallystick.client.failures import TEXTS as OF_A_CLIENT
from tallystick.client.failures import ClientReason
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.texts import TEXTS as OF_BILLS
from tallystick.contracts.kit.reasons import TEXTS as SHARED
from tallystick.contracts.kit.reasons import KitReason, LedgerReason, ReasonText
from tallystick.protocol.errors import Reason
from tallystick.web.reasons import WebReason


class GatewayReason(Reason):
    """Why a gateway did not do what a till asked for."""

    TOKEN = "gateway.token"
    MAY_NOT = "gateway.may_not"
    OTHER_PLACE = "gateway.other_place"
    HOST = "gateway.host"
    REF_TAKEN = "gateway.ref_taken"
    AWAY = "gateway.away"
    UNSURE = "gateway.unsure"
    TROUBLE = "gateway.trouble"
    UNDER_WAY = "gateway.under_way"
    NO_BILL = "gateway.no_bill"
    NO_CLAIMS = "gateway.no_claims"
    FRACTION = "gateway.fraction"
    TWICE = "gateway.twice"
    NO_FORM = "gateway.no_form"
    PLAN = "gateway.plan"


TEXTS: dict[Reason, ReasonText] = {
    GatewayReason.TOKEN: ReasonText(
        "缺少令牌，或令牌无效、已停用",
        "there is no token, or it is not known here, or it has ended",
        "在 Authorization 标头中写 Bearer 加令牌；令牌由管理员用 tally gateway token add 发放",
        "send Authorization: Bearer TOKEN; whoever runs the gateway makes one with "
        "tally gateway token add",
    ),
    GatewayReason.MAY_NOT: ReasonText(
        "该令牌不能办理此项业务",
        "this token is not for that",
        "请前置机管理员发放具有相应权限的令牌",
        "have whoever runs the gateway make a token that may do it",
    ),
    GatewayReason.OTHER_PLACE: ReasonText(
        "该令牌只能办理本开票点的票据",
        "this token is for another place's bills",
        "核对 place_code，或换用该开票点的令牌",
        "check place_code, or use that place's token",
    ),
    GatewayReason.HOST: ReasonText(
        "请求所写的主机不是本前置机",
        "the request names a host that this gateway is not",
        "核对地址；如须以其他名称访问，写入配置 [listen] names",
        "check the address; further names stand in [listen] names of the configuration",
    ),
    GatewayReason.REF_TAKEN: ReasonText(
        "该业务号 ref 已用于内容不同的办理",
        "this ref was used for something else",
        "重试请原样重发；新业务请用新的 ref",
        "resend a retry unchanged; use a new ref for something new",
    ),
    GatewayReason.AWAY: ReasonText(
        "账本暂时连接不上，未受理",
        "the ledger cannot be reached; nothing was taken",
        "稍后以同一 ref 重试；需要断网开票的，请领用离线号段并写入配置 [[reserve]]",
        "try again later with the same ref; for bills meanwhile have an offline reserve allotted "
        "and name it in [[reserve]]",
    ),
    GatewayReason.UNSURE: ReasonText(
        "此前中断，尚不能确定该笔是否已开具，须待账本恢复连接后核对",
        "it was interrupted, and whether there is a bill is known once the ledger can be reached",
        "账本恢复后以同一 ref 重试；切勿换 ref 重开",
        "try again with the same ref once the ledger is back; never with another",
    ),
    GatewayReason.TROUBLE: ReasonText(
        "前置机已停止开票，等待检修",
        "the gateway has stopped issuing until somebody looks at it",
        "打开前置机首页查看原因，联系管理员；已受理的不会丢失",
        "the gateway's page says why; tell whoever runs it; what was taken is not lost",
    ),
    GatewayReason.UNDER_WAY: ReasonText(
        "正在办理，结果尚未确定",
        "it is under way; what becomes of it is not known yet",
        "稍后原样重发，得到的是同一笔的结果",
        "send the same again a little later: the answer is about the same act",
    ),
    GatewayReason.NO_BILL: ReasonText(
        "本前置机没有这张票据",
        "this gateway knows no such bill",
        "核对票据代码与号码，或 ref",
        "check code and number, or the ref",
    ),
    GatewayReason.NO_CLAIMS: ReasonText(
        "本前置机未启用报销业务",
        "this gateway is not set up for claims",
        "在配置中写 [claims] enabled = true 后重新启动",
        "write [claims] enabled = true into the configuration and start it anew",
    ),
    GatewayReason.FRACTION: ReasonText(
        "金额须为整数（分），不接受小数",
        "amounts are whole minor units (fen); a number with a fraction is refused",
        "把金额乘以100并以整数提交",
        "send fen as an integer: 1230, not 12.30",
    ),
    GatewayReason.TWICE: ReasonText(
        "同一对象中一个字段写了两次",
        "a name stands twice in one object",
        "删去一处；两处不一致时无法判断以哪处为准",
        "leave one of them out: which of the two counts nobody can tell",
    ),
    GatewayReason.NO_FORM: ReasonText(
        "没有可用的纸质票据，或该票据未换开",
        "there is no unused paper form, or the bill has none",
        "领用该票种今年的纸质票据号段，或先换开",
        "have forms of this year allotted, or exchange the bill first",
    ),
    GatewayReason.PLAN: ReasonText(
        "处理方案与试算时不同，未执行",
        "the plan is not the one that was tried; nothing was done",
        "重新对账，查看新的试算结果后再执行",
        "reconcile again, look at the new dry run, then apply that",
    ),
}

STATUSES: dict[Reason, int] = {
    GatewayReason.TOKEN: 401,
    GatewayReason.MAY_NOT: 403,
    GatewayReason.OTHER_PLACE: 403,
    GatewayReason.HOST: 421,
    GatewayReason.REF_TAKEN: 409,
    GatewayReason.AWAY: 503,
    GatewayReason.UNSURE: 503,
    GatewayReason.TROUBLE: 503,
    GatewayReason.UNDER_WAY: 202,
    GatewayReason.NO_BILL: 404,
    GatewayReason.NO_CLAIMS: 404,
    GatewayReason.FRACTION: 400,
    GatewayReason.TWICE: 400,
    GatewayReason.PLAN: 409,
}

ALL_TEXTS: Mapping[Reason, ReasonText] = {
    **SHARED,
    **OF_BILLS,
    **OF_A_CLIENT,
    **{ClientReason(code): text for code, text in OF_DESKS.items()},
    **TEXTS,
}
_KINDS: tuple[type[Reason], ...] = (
    *(GatewayReason, BillsReason, KitReason, LedgerReason, WebReason),
)
_KNOWN: dict[str, Reason] = {reason.value: reason for kind in _KINDS for reason in kind}


def reason_of(code: str) -> Reason:
    """The reason that an outcome names; of a newer ledger it may be one without a text here."""
    return _KNOWN.get(code) or ClientReason(code)
