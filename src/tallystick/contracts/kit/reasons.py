"""Refusals that every domain shares, with what people read about them.

Invariant: append-only; a word is never reused and never changes its meaning. The texts are no part
of consensus and may be improved at any time. See docs/spec/refusals.md.
"""

from __future__ import annotations

from typing import NamedTuple

from tallystick.protocol.errors import Reason


class ReasonText(NamedTuple):
    """What is wrong, and what whoever reads it can do."""

    zh: str
    en: str
    todo_zh: str
    todo_en: str


class LedgerReason(Reason):
    """What the ledger itself says of a transaction, or of an item of it."""

    # Of a transaction, before ordering: it leaves no trace.
    KEY_UNKNOWN = "ledger.key_unknown"
    KEY_NOT_SENDERS = "ledger.key_not_senders"
    KEY_ENDED = "ledger.key_ended"
    KEY_ACTION = "ledger.key_action"
    EXPIRED = "ledger.expired"
    VALID_TOO_LONG = "ledger.valid_too_long"
    ACTION_INACTIVE = "ledger.action_inactive"
    IDEMPOTENCY_CONFLICT = "ledger.idempotency_conflict"

    # Of an item, in the log.
    ATOMIC = "ledger.atomic"
    FAULT = "ledger.fault"


class KitReason(Reason):
    """Authority of the sender, scope of its key, and what every domain's arguments share."""

    SUSPENDED = "kit.suspended"
    NO_GRANT = "kit.no_grant"
    KEY_SCOPE = "kit.key_scope"
    INSTANT_INVALID = "kit.instant_invalid"
    VERSION_CONFLICT = "kit.version_conflict"
    ACT_SIGNATURE = "kit.act_signature"
    ACT_REPLAYED = "kit.act_replayed"
    UNTIL_PAST = "kit.until_past"


TEXTS: dict[Reason, ReasonText] = {
    LedgerReason.KEY_UNKNOWN: ReasonText(
        "签名密钥未登记",
        "the signing key is not registered",
        "用本单位已登记的操作密钥签名，或先由根密钥登记",
        "sign with a registered operating key, or register this one with the root key first",
    ),
    LedgerReason.KEY_NOT_SENDERS: ReasonText(
        "签名密钥不属于所填发送单位",
        "the signing key belongs to another organisation than the sender",
        "核对发送单位编号，或换用该单位的密钥",
        "check the sender, or sign with a key of that organisation",
    ),
    LedgerReason.KEY_ENDED: ReasonText(
        "签名密钥已到期或已撤销",
        "the signing key has ended or was revoked",
        "换用有效密钥；没有有效密钥时由根密钥登记新密钥",
        "sign with a live key; if there is none, add one with the root key",
    ),
    LedgerReason.KEY_ACTION: ReasonText(
        "该密钥无权签署此类操作",
        "this key may not sign this action",
        "业务用操作密钥，密钥管理用根密钥；核对该密钥登记的操作范围",
        "business takes an operating key, managing keys the root key; look up the key's actions",
    ),
    LedgerReason.EXPIRED: ReasonText(
        "交易已过有效期",
        "the transaction's valid_until has passed",
        "先查询是否已入账，未入账则以新的有效期重新签名提交",
        "look up whether it was entered; if not, sign it anew with a later valid_until",
    ),
    LedgerReason.VALID_TOO_LONG: ReasonText(
        "交易有效期超过上限：账本时间之后72小时，离线票据31天",
        "valid_until is too late: at most 72 hours after ledger time, for offline bills 31 days",
        "缩短有效期后重新签名，并核对本机时钟",
        "choose an earlier one, sign anew, and check this machine's clock",
    ),
    LedgerReason.ACTION_INACTIVE: ReasonText(
        "该操作版本当前未启用",
        "this version of the action is not active now",
        "使用现行版本；如客户端过旧请升级",
        "use the version in force; if the client is old, upgrade it",
    ),
    LedgerReason.IDEMPOTENCY_CONFLICT: ReasonText(
        "同一幂等键已用于内容不同的交易",
        "this idempotency key was used for other content",
        "重试请原样重发；新业务请用新键",
        "resend a retry unchanged; use a new key for a new act",
    ),
    LedgerReason.ATOMIC: ReasonText(
        "同一原子交易中另有一项被拒绝，全部未执行",
        "another item of this atomic transaction was refused, so none was done",
        "改正该项后以新幂等键重新提交",
        "mend that item and submit all of them under a new idempotency key",
    ),
    LedgerReason.FAULT: ReasonText(
        "合约内部故障，本项未执行，已报警",
        "the contract failed inside; nothing was done and an alarm was raised",
        "请勿重试，联系运维",
        "do not retry, tell the operator",
    ),
    KitReason.SUSPENDED: ReasonText(
        "本单位已被暂停业务",
        "your organisation is suspended",
        "联系作出暂停决定的主管部门",
        "ask the authority that suspended it",
    ),
    KitReason.NO_GRANT: ReasonText(
        "本单位没有此项操作的有效授权",
        "your organisation holds no live grant for this action",
        "向有权授权的上级单位申请，或核对票据代码是否在授权范围内",
        "ask the organisation that grants it, or check that the code lies within your grant",
    ),
    KitReason.KEY_SCOPE: ReasonText(
        "该操作密钥的登记范围不包含此代码或号段",
        "this operating key is not for this code or number block",
        "换用登记了该代码、号段的密钥",
        "sign with the key that is registered for it",
    ),
    KitReason.INSTANT_INVALID: ReasonText(
        "时间不存在或格式有误",
        "there is no such instant",
        "按 2026-01-31T09:00:00Z 的格式填写真实存在的协调世界时",
        "write an instant that exists, in UTC, like 2026-01-31T09:00:00Z",
    ),
    KitReason.VERSION_CONFLICT: ReasonText(
        "该记录已被他人更新，与所填版本不符",
        "the row has changed since the version that you name",
        "重新查询后按最新版本再次提交",
        "look at it again and submit anew with its present version",
    ),
    KitReason.ACT_SIGNATURE: ReasonText(
        "内层签名与所填公钥或内容不符",
        "the inner signature is not that key's over this content",
        "由持有人重新签署后再转交",
        "have it signed anew by whoever it is from, and relay that",
    ),
    KitReason.ACT_REPLAYED: ReasonText(
        "该签署内容已入账一次，不得重复提交",
        "this act was entered once and cannot be entered again",
        "查询其现状；如需再次办理请持有人重新签署",
        "look up how it stands; to do it again, have a new one signed",
    ),
    KitReason.UNTIL_PAST: ReasonText(
        "截止时间不在账本时间之后，或超出允许期限",
        "the end is not after ledger time, or further than is allowed",
        "另选截止时间",
        "choose another end",
    ),
}
"""Each refusal in Chinese and English, with what to do."""
