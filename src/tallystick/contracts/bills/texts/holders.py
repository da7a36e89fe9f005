"""What people read about refusals of holders' acts.

Invariant: the texts are no part of consensus. See docs/spec/contracts/bills-holders.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason

TEXTS: dict[Reason, ReasonText] = {
    BillsReason.HOLDER_KEY: ReasonText(
        "签名者不是该票据现在的归属人",
        "whoever signed is not the bill's holder now",
        "用该票据现在绑定的密钥签署，并附上正确的开启值",
        "sign with the key to which the bill is bound now, and open its commitment with that",
    ),
    BillsReason.BOUND_STALE: ReasonText(
        "该票据已重新绑定，所签内容针对的是先前的绑定",
        "the bill was bound anew since this was signed",
        "查询现在的绑定次数后由归属人重新签署",
        "look up which binding counts now and have the holder sign for that",
    ),
    BillsReason.CONSENT_UNKNOWN: ReasonText(
        "没有这项有效的同意或授权书",
        "there is no such consent or mandate, or it is over",
        "核对编号；已撤销、已到期或因重新绑定而失效的，请归属人重新签署",
        "check its id; if it was revoked, has ended or the bill was bound anew, have one signed",
    ),
    BillsReason.HELPER_UNKNOWN: ReasonText(
        "代办人无权办理此事",
        "the helper may not do this",
        "核对代办授权的编号、期限及所涉票据；绑定与代办授权须归属人本人签署",
        "check id, term and bill of the appointment; binding and appointing are the holder's own",
    ),
    BillsReason.REBIND_WAITS: ReasonText(
        "该票据有一项新绑定尚在等待期或争议中",
        "a new binding of the bill waits or is in dispute",
        "等待期满，或由仲裁单位裁定后再办理；原归属人如不同意可提出异议",
        "wait until its time is over or the arbiter has decided; the old holder may object",
    ),
    BillsReason.NOTHING_PENDING: ReasonText(
        "没有可提出异议或可裁定的新绑定",
        "no new binding is there to object to or to decide on",
        "查询该票据的绑定现状；异议只能提出一次",
        "look up the bill's binding; an objection is made once",
    ),
}
