"""What people read about refusals of reimbursement and reversal that meets it.

Invariant: the texts are no part of consensus. See docs/spec/contracts/bills-claims.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason

TEXTS: dict[Reason, ReasonText] = {
    BillsReason.CLAIM_STATE: ReasonText(
        "票据当前状态不可报销",
        "the bill, or the claim, is in no state for this",
        "查询票据状态：开具中、已冲红、已结清的票据及不可报销的票种不受理",
        "look at its state: archived, not reversed, of a type that is claimed",
    ),
    BillsReason.CLAIM_NOT_CIRCULABLE: ReasonText(
        "票据暂不可流通",
        "its issuer withholds the bill",
        "请交款人先与开票单位结清费用",
        "have the payer settle with the issuer first",
    ),
    BillsReason.CLAIM_TERM: ReasonText(
        "已超过报销期限",
        "the time in which the bill may be claimed is over",
        "该票据不再受理报销",
        "it can be claimed no more",
    ),
    BillsReason.CLAIM_CONSENT: ReasonText(
        "没有归属人的有效授权或法定依据",
        "no live consent, mandate or law covers this",
        "取得归属人对本单位、本用途的授权后再锁定",
        "get the holder's consent for this purpose, then lock",
    ),
    BillsReason.CLAIM_LOCKED: ReasonText(
        "票据已被其他报销锁定",
        "another claim holds the bill",
        "按提示的到期时间之后再试，或在剩余金额内等待",
        "try again after the lock's end; the detail says what is left",
    ),
    BillsReason.CLAIM_DUPLICATE: ReasonText(
        "本单位已就同一用途报销过该票据",
        "you settled this bill for this purpose already",
        "补充支付请在原报销上办理",
        "to pay more, supplement the claim that is settled",
    ),
    BillsReason.CLAIM_RANK: ReasonText(
        "须等待报销方案中在先的单位",
        "an earlier rank of the plan is not answered yet",
        "待在先单位报销、拒绝或放弃后再锁定",
        "wait until it settles, rejects or waives its share",
    ),
    BillsReason.CLAIM_CAP: ReasonText(
        "超过可报销的剩余金额或授权限额",
        "the amount exceeds what is left, or what the holder allows",
        "在剩余金额与授权限额之内申请",
        "claim within what is left and within the mandate's cap",
    ),
    BillsReason.CLAIM_LIMIT: ReasonText(
        "该票据的报销次数已达上限",
        "the bill has as many claims as it can",
        "请开票单位重新开具后再报销",
        "ask the issuer to replace the bill",
    ),
    BillsReason.CLAIM_PAPER: ReasonText(
        "须出示换开的纸质票据",
        "the paper form that was exchanged for it must be presented",
        "核对纸质票据号码，或请开票单位收回纸质票据",
        "name the live form, or have the issuer recover it",
    ),
    BillsReason.CLAIM_UNKNOWN: ReasonText(
        "没有本单位的该笔报销",
        "you have no such claim",
        "核对票据、报销序号与报销条件",
        "check bill, ordinal and terms",
    ),
    BillsReason.CLAIM_REASON: ReasonText(
        "支付为零须填写原因",
        "nothing is paid, and no reason is given",
        "填写原因，例如未达起付线",
        "give the reason, such as the deductible",
    ),
    BillsReason.LOCK_NOT_OWNER: ReasonText(
        "该锁定不属于本次报销",
        "the lock is not this claim's",
        "核对报销编号与报销条件",
        "check the claim's number and terms",
    ),
    BillsReason.LOCK_EXPIRED: ReasonText(
        "锁定已到期",
        "the lock is over",
        "重新锁定后再办理",
        "lock the bill again",
    ),
    BillsReason.LOCK_TERM: ReasonText(
        "锁定截止时间已过，或期限、续期次数超出票种规定",
        "the lock would end in the past or stand too long, or was renewed too often",
        "按票种规定缩短期限",
        "choose an end within what the type allows",
    ),
    BillsReason.SETTLE_EXCEEDS_LOCK: ReasonText(
        "报销金额超过锁定金额",
        "the amount exceeds what is locked",
        "在锁定金额内报销；不足部分另行补充",
        "settle within the lock; supplement it afterwards",
    ),
    BillsReason.CLAW_EXCEEDS: ReasonText(
        "金额为零或超过待追回金额",
        "the amount is nothing, or more than is due back",
        "核对待追回金额",
        "check what is due",
    ),
    BillsReason.PLAN_UNKNOWN: ReasonText(
        "该票据没有包含本单位该用途的报销方案",
        "no plan of the bill has this share of yours",
        "核对票据与用途",
        "check bill and purpose",
    ),
    BillsReason.PLAN_STATE: ReasonText(
        "报销方案当前状态不允许此操作",
        "the plan's state does not allow this",
        "查询报销方案：已结束、已放弃或已有单位接受",
        "look at the plan: it is over, waived, or binds somebody already",
    ),
    BillsReason.PLAN_INVALID: ReasonText(
        "报销方案自相矛盾",
        "the plan contradicts itself",
        "同一单位同一用途只列一次，并填写正确的截止时间",
        "name each share once, and an end that is to come",
    ),
    BillsReason.BILL_FROZEN: ReasonText(
        "票据已被监管部门冻结",
        "the supervisor froze the bill",
        "向监管部门了解原因",
        "ask the supervisor",
    ),
    BillsReason.BILL_REVERSING: ReasonText(
        "票据待冲红",
        "its issuer is about to reverse the bill",
        "解除锁定；此前已支付的，填报支付时间后赔付",
        "release the lock; what was paid before, settle with the time at which it was paid",
    ),
    BillsReason.NOT_REVERSING: ReasonText(
        "票据不在待冲红状态",
        "the bill is not about to be reversed",
        "查询票据状态",
        "look at its state",
    ),
    BillsReason.REV_LOCKED: ReasonText(
        "票据已被报销锁定",
        "a claim holds the bill",
        "先申请冲红；锁定解除或等待期满后即可冲红",
        "request the reversal; it goes on when the lock is released or the wait is over",
    ),
}
