"""What people read about a refusal in `members`: what is wrong and what to do, zh and en.

Invariant: every `MembersReason` has its row (a test says so). The texts are no part of consensus
and may be improved at any time. See docs/spec/refusals.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.reasons import ReasonText
from tallystick.contracts.members.reasons import MembersReason
from tallystick.protocol.errors import Reason

TEXTS: dict[Reason, ReasonText] = {
    MembersReason.ORG_UNKNOWN: ReasonText(
        "没有这个成员单位",
        "there is no such member",
        "核对单位编号，或先接纳该单位",
        "check the organisation's name, or admit it first",
    ),
    MembersReason.ORG_TAKEN: ReasonText(
        "该单位编号已被使用",
        "this organisation's name is taken",
        "查询该单位是否已接纳；新单位请另取编号",
        "look whether it was admitted already; give a new organisation another name",
    ),
    MembersReason.ORG_SUPERIOR: ReasonText(
        "不能暂停本单位或授权来源单位，也不能恢复授权来源单位",
        "an organisation suspends neither itself nor one from which it has authority, "
        "nor resumes such a one",
        "请由该单位的上级主管部门办理",
        "ask an authority above that organisation",
    ),
    MembersReason.ORG_SUSPENDED: ReasonText(
        "该单位已处于暂停状态",
        "the organisation is suspended already",
        "无需重复操作；查询暂停原因",
        "there is nothing to do; look up why it is suspended",
    ),
    MembersReason.ORG_NOT_SUSPENDED: ReasonText(
        "该单位未被暂停",
        "the organisation is not suspended",
        "无需恢复；核对单位编号",
        "there is nothing to resume; check the organisation's name",
    ),
    MembersReason.ROOT_REPLACED: ReasonText(
        "签名的根密钥已在本区块内更换",
        "the root key that signed was rotated earlier in this block",
        "用新的根密钥重新签名",
        "sign with the new root key",
    ),
    MembersReason.KEY_WEAK: ReasonText(
        "该公钥无效",
        "this is no sound public key",
        "重新生成密钥并核对所填公钥",
        "make a new key and check what you entered",
    ),
    MembersReason.KEY_TAKEN: ReasonText(
        "该密钥已登记过，任何密钥只能启用一次",
        "this key was taken into use before; each key has one use, for ever",
        "生成一把新密钥",
        "make a new key",
    ),
    MembersReason.KEY_NOT_FOUND: ReasonText(
        "本单位没有这把操作密钥",
        "your organisation has no such operating key",
        "查询本单位密钥清单后重试",
        "look at your list of keys",
    ),
    MembersReason.KEY_ENDED: ReasonText(
        "该密钥已撤销",
        "the key was revoked before",
        "无需重复撤销",
        "there is nothing to do",
    ),
    MembersReason.UNTIL_PAST: ReasonText(
        "截止时间不晚于账本当前时间",
        "the term ends no later than ledger time",
        "填写更晚的截止时间",
        "choose a later end",
    ),
    MembersReason.GRANT_NOT_FOUND: ReasonText(
        "没有这项授权，或该授权已失效",
        "there is no such grant, or the one you give out of is not live",
        "查询授权清单，核对授权编号及持有单位",
        "look at the list of grants; check its id and who holds it",
    ),
    MembersReason.GRANT_WIDER: ReasonText(
        "所授权限超出本单位持有的权限",
        "the grant goes beyond the one that it comes from",
        "收窄所指字段：操作、代码、期限或可转授次数",
        "narrow the field that is named: actions, codes, until or depth",
    ),
    MembersReason.GRANTS_FULL: ReasonText(
        "该单位持有的授权已达上限",
        "the organisation holds as many grants as fit in its row",
        "合并或终止不再需要的授权后重试",
        "end or merge grants that are no longer needed",
    ),
    MembersReason.GRANT_FOUNDING: ReasonText(
        "创始授权不能由交易终止",
        "a grant of the founding file is not ended by a transaction",
        "如须停止其业务，请暂停该单位",
        "suspend the organisation if it has to be stopped",
    ),
    MembersReason.GRANT_NOT_YOURS: ReasonText(
        "只有授权单位、其上级授权单位或持有单位可以终止该授权",
        "only its giver, whoever that one has it from, or its holder ends a grant",
        "请由上述单位办理",
        "ask one of them",
    ),
    MembersReason.GRANT_ENDED: ReasonText(
        "该授权已失效",
        "the grant is not live any more",
        "无需重复终止",
        "there is nothing to do",
    ),
    MembersReason.NAME_TAKEN: ReasonText(
        "该见证节点名称已被使用",
        "this keeper's name is taken",
        "另取一个名称",
        "choose another name",
    ),
    MembersReason.KEEPER_NOT_FOUND: ReasonText(
        "没有这个见证节点",
        "there is no such keeper",
        "查询见证节点清单，核对名称",
        "look at the list of keepers and check the name",
    ),
    MembersReason.KEEPER_ENDED: ReasonText(
        "该见证节点已退出",
        "the keeper has ended its service before",
        "无需重复操作",
        "there is nothing to do",
    ),
}
