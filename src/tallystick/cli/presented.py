"""What `tally verify` makes of presentations and split slips, and how it shows them.

Invariant: the verdict on a presentation is good only for the reader and the purpose that were asked
for; what is shown to another is not printed. See docs/spec/presentation.md.
"""

from __future__ import annotations

from typing import Any

from tallystick.apps.bills.presentation import Presentations, Shown, Unfit
from tallystick.apps.bills.rights import Against
from tallystick.apps.bills.slip import Slip, verify_slip
from tallystick.cli import out
from tallystick.cli.verdicts import STEPS_ZH, label
from tallystick.contracts.bills.amounts import format_amount
from tallystick.protocol.canonical import encode
from tallystick.protocol.trust import TrustPolicy
from tallystick.protocol.values import format_instant
from tallystick.verify import Verdict, Verifier

PRESENTATION = b'"format":"tallystick/presentation/v1"'
SLIP = b'"format":"tallystick/split-slip/v1"'
"""A string cannot hold these quotes unescaped, and no document but these has them."""

SHOWN_STEPS_ZH = STEPS_ZH | {
    "shown fields": "所示内容",
    "allowed fields": "授权范围",
    "open fields": "公开项",
    "right": "查阅依据",
    "archive": "归档核对",
    "reader": "出示对象",
}
WARNINGS_TEXT = {
    "unbound": (
        "unbound: the holder has not chosen the bill's key, so its issuer could act as holder",
        "未绑定：归属人尚未绑定票据，开票单位仍可能代为操作",
    ),
    "not_archived": (
        "not archived: finance has not checked the body, so lines and sums are the issuer's word",
        "未归档：财政尚未核对票据内容，明细与合计仅为开票单位所述",
    ),
    "offline": ("made offline, before the ledger knew of it", "离线开具，事后入账"),
    "withheld": ("withheld: it may not be claimed now", "暂不可流通，现不能报销"),
    "partly_reversed": (
        "partly reversed: see what is left, not the total",
        "部分冲红：以剩余金额为准",
    ),
    "rebinding": (
        "a new binding by the issuer waits for the holder's objection",
        "开票单位正在重新绑定归属人，尚在异议期",
    ),
    "disputed": ("disputed: a finding waits for an answer", "有稽核疑点尚未答复"),
    "purpose_unbound": (
        "a statute's grant names no purpose: that is the word of whoever made the file",
        "法定依据不含用途，用途仅为出示方所述",
    ),
}
"""English and Chinese, of each word of `WARNINGS`."""
_NOT_PROVEN = (
    "Not proven: who shows this, that nobody else has a copy, what came after as-of.",
    "未证明：出示者身份、他人有无副本，以及“截至”时间之后的变化。",
)
_LABELS_ZH = {
    "shown to": "出示对象",
    "purpose": "用途",
    "bill": "票据",
    "issuer": "开票单位",
    "issued at": "开具时间",
    "total": "票面金额",
    "left after reversals": "冲红后剩余",
    "not shown": "未出示部分",
    "by": "依据",
    "until": "有效至",
    "archived": "已归档核对",
    "account": "个人账户支付",
    "cash": "个人现金支付",
    "reversed": "已冲红",
    "settled": "已报销",
    "settled_cash": "其中现金部分",
    "due": "待追回",
    "locked": "报销锁定",
    "locked_until": "锁定至",
    "left_cash": "可报销（现金）",
    "left_cash_account": "可报销（现金与账户）",
    "yes": "是",
    "no": "否",
    "line": "明细",
    "name": "名称",
    "amount#": "金额#",
    "field": "内容",
    "value": "值",
}


class Reader:
    """Who verifies: under which policy, when, and what is asked for."""

    def __init__(
        self,
        policy: TrustPolicy,
        note: bytes | None,
        *,
        now: int,
        about: str | None = None,
        audience: str | None = None,
        purpose: str | None = None,
    ) -> None:
        self.verifier = Verifier(policy, note)
        self.now, self.about = now, about
        self._policy, self._note = policy, note
        self._presentations = Presentations(policy, note)
        self._audience, self._purpose = audience or "", purpose or ""

    def read(self, data: bytes) -> tuple[Verdict, str, Shown | Slip]:
        """Verdict, why it is not good, and what is shown; raises where it is false."""
        if SLIP in data:
            slip = verify_slip(data, self._policy, now=self.now, checkpoint=self._note)
            return self._judge(slip, slip.against)
        try:
            shown = self._presentations.verify(
                data, audience=self._audience, purpose=self._purpose, now=self.now
            )
        except Unfit as error:
            return error.verdict, error.detail, error.shown
        return self._judge(shown, ())

    def _judge(
        self, shown: Shown | Slip, against: tuple[Against, ...]
    ) -> tuple[Verdict, str, Shown | Slip]:
        if self.about not in (None, shown.bill.id):
            return Verdict.OTHER, f"it is about {shown.bill.id}", shown
        for each in against:
            return each.verdict, each.detail, shown
        return Verdict.GOOD, "", shown


def is_shown(data: bytes) -> bool:
    """Whether a document is a presentation or a split slip."""
    return PRESENTATION in data or SLIP in data


def print_shown(shown: Shown | Slip, verdict: Verdict, error: str, policy: TrustPolicy) -> None:
    """What it proves, after the verdict."""
    if error:
        out.say(f"  {out.plain(error)}")
    if isinstance(shown, Slip):
        _print_slip(shown, policy)
    elif verdict is Verdict.NOT_FOR_YOU:
        _listed({"shown to": _name(shown.audience, policy), "purpose": shown.purpose})
        return
    else:
        _print_presentation(shown, policy)
    if verdict is Verdict.GOOD:
        out.say(_NOT_PROVEN[out.language() == "zh"], "dim")


def shown_document(shown: Shown | Slip, verdict: Verdict, error: str) -> dict[str, Any]:
    """The same for scripts: amounts in minor units."""
    told: dict[str, Any] = {"error": error} if error else {}
    if isinstance(shown, Slip):
        as_of = shown.verified.as_of
        return told | {
            "bill": shown.bill.id,
            "sums": {name: getattr(shown.sums, name) for name in shown.sums.__struct_fields__},
            "as_of": None if as_of is None else format_instant(as_of),
            "orgs": list(shown.verified.orgs),
        }
    told |= {"audience": shown.audience, "purpose": shown.purpose, "bill": shown.bill.id}
    if verdict is Verdict.NOT_FOR_YOU:
        return told
    return told | {
        "fields": dict(shown.fields),
        "total": shown.total,
        "left": shown.left,
        "remainder": shown.remainder,
        "currency": shown.bill.currency,
        "right": shown.right,
        "right_id": shown.right_id,
        "until": shown.until,
        "archived": shown.archived,
        "bound": shown.bound,
        "offline": shown.offline,
        "warnings": list(shown.warnings),
        "as_of": format_instant(shown.as_of),
        "orgs": list(shown.orgs),
        "steps": [each._asdict() for each in shown.steps],
    }


def _print_presentation(shown: Shown, policy: TrustPolicy) -> None:
    bill = shown.bill
    _listed(
        {
            "shown to": _name(shown.audience, policy),
            "purpose": shown.purpose,
            "bill": bill.id,
            "issuer": _name(bill.issuer, policy),
            "issued at": bill.issued_at,
            "total": _money(shown.total, bill.currency),
            "left after reversals": "" if shown.left == shown.total else _money(shown.left, ""),
            "not shown": _money(shown.remainder, bill.currency) if shown.lines else "",
            "by": f"{shown.right} {shown.right_id}",
            "until": shown.until or "",
            "archived": _label("yes" if shown.archived else "no"),
            "vouched by": ", ".join(_name(org, policy) for org in shown.orgs),
            "as-of": format_instant(shown.as_of),
        }
    )
    if shown.lines:
        lines = [
            (f"items/{n}", one.name, format_amount(one.amount)) for n, one in shown.lines.items()
        ]
        out.table("", (_label("line"), _label("name"), _label("amount#")), lines)
    others = [
        (path, value if isinstance(value, str) else encode(value).decode())
        for path, value in shown.fields.items()
        if not path.startswith("items/")
    ]
    if others:
        out.table("", (_label("field"), _label("value")), others)
    for word in shown.warnings:
        out.say(WARNINGS_TEXT[word][out.language() == "zh"], "yellow")
    chinese = out.language() == "zh"
    out.listed(
        (str(one.number), SHOWN_STEPS_ZH[one.what] if chinese else one.what, one.finding)
        for one in shown.steps
    )


def _print_slip(slip: Slip, policy: TrustPolicy) -> None:
    sums = slip.sums
    told = {"bill": slip.bill.id, "issuer": _name(slip.bill.issuer, policy)}
    for name in sums.__struct_fields__:
        value = getattr(sums, name)
        if name != "currency" and value is not None:
            told[name] = value if isinstance(value, str) else _money(value, sums.currency)
    told["vouched by"] = ", ".join(_name(org, policy) for org in slip.verified.orgs)
    as_of = slip.verified.as_of
    told["as-of"] = "" if as_of is None else format_instant(as_of)
    _listed(told)


def _listed(shown: dict[str, str]) -> None:
    out.listed(("", _label(name), value) for name, value in shown.items() if value)


def _money(amount: int, currency: str | None) -> str:
    return f"{format_amount(amount)} {currency or ''}".strip()


def _name(org: str, policy: TrustPolicy) -> str:
    return f"{policy.names[org]} ({org})" if org in policy.names else org


def _label(text: str) -> str:
    return label(_LABELS_ZH.get(text, text) if out.language() == "zh" else text)
