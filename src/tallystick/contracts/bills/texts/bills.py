"""What people read about a refusal: what is wrong and what to do, in Chinese and in English.

Invariant: every `BillsReason` has its row (a test says so). The texts are no part of consensus and
may be improved at any time. See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason

TEXTS: dict[Reason, ReasonText] = {
    BillsReason.TYPE_UNKNOWN: ReasonText(
        "票种目录中没有该票种",
        "the catalogue has no such bill type",
        "核对票据代码前六位，或请财政部门登记票种",
        "check the first six digits of the code, or ask finance to register the type",
    ),
    BillsReason.TYPE_EXPIRED: ReasonText(
        "该票种在此时间不可用",
        "the bill type is not in force at that time",
        "改用现行票种",
        "use the type now in force",
    ),
    BillsReason.CODE_TYPE_MISMATCH: ReasonText(
        "票据代码与票种、区划或年度不符",
        "the code does not match type, region or year",
        "核对八位票据代码",
        "check the eight digits of the code",
    ),
    BillsReason.TYPE_RULES: ReasonText(
        "票种规则自相矛盾或超出允许范围",
        "the rules of the type contradict themselves or leave their bounds",
        "按提示的字段修改票种规则",
        "mend the rule that the path names",
    ),
    BillsReason.VALID_FROM: ReasonText(
        "生效时间过早，会改变已开票据所依据的规则",
        "the type would take effect too early and change what bills already rest on",
        "生效时间应晚于上一版本，且晚于账本时间加开票提前量",
        "choose a time after the former version's and beyond the window for issue times",
    ),
    BillsReason.ORG_UNKNOWN: ReasonText(
        "账本上没有该单位的授权",
        "the ledger knows no authority of that organisation",
        "核对单位编号，或先为其登记授权",
        "check its id, or have it granted what it needs first",
    ),
    BillsReason.UNCHANGED: ReasonText(
        "已处于该状态，无需重复操作",
        "it is in that state already",
        "查询当前状态",
        "look at its present state",
    ),
    BillsReason.ALLOC_OVERLAP: ReasonText(
        "号段与已发放号段重叠",
        "the range overlaps one already granted",
        "查询已发放号段后另选起止号",
        "look up the granted ranges and choose others",
    ),
    BillsReason.ALLOC_OUTSIDE_PARENT: ReasonText(
        "号段超出上级号段",
        "the range leaves its parent range",
        "在上级号段剩余范围内发放",
        "grant within what the parent has left",
    ),
    BillsReason.ALLOC_WRONG_YEAR: ReasonText(
        "号段年度不符或尚不可发放",
        "the range is of a wrong year",
        "年度须与上级号段一致；下年度号段自十二月一日起发放",
        "use the parent's year; next year's ranges open on 1 December",
    ),
    BillsReason.ALLOC_LEVEL: ReasonText(
        "发放级次须低于上级号段",
        "the level must lie below the parent's",
        "填写更低的级次；省级号段不填上级",
        "name a lower level; level 0 has no parent, all others have one",
    ),
    BillsReason.ALLOC_FRAGMENTS: ReasonText(
        "号段已被分得过于零碎",
        "the range is cut into too many pieces",
        "按顺序连续发放，或改用其他号段",
        "hand out numbers in order, or use another range",
    ),
    BillsReason.NOT_GRANTOR: ReasonText(
        "只有发放单位可以进行此项操作",
        "only whoever granted the range may do this",
        "请发放单位办理",
        "ask the organisation that granted it",
    ),
    BillsReason.NOT_UNUSED_TAIL: ReasonText(
        "只能处理号段末尾未使用的号码",
        "only the unused tail of a range can leave it",
        "从已用号码之后至号段末尾选择",
        "choose numbers after all used ones, up to the end of what is left",
    ),
    BillsReason.VOID_LIMIT: ReasonText(
        "一次作废的号码过多",
        "too many numbers declared void at once",
        "分多项提交，或退回未使用的号段",
        "send several items, or give the unused tail back",
    ),
    BillsReason.NUMBER_NOT_ALLOCATED: ReasonText(
        "该号码未发放给本单位",
        "the number was not granted to this issuer",
        "使用本单位领用的号段；已用完时向上级申领",
        "use a number of a range of your own; when none is left, ask for more",
    ),
    BillsReason.NUMBER_USED: ReasonText(
        "该号码已开具票据",
        "the number was already used",
        "查询原票；确需开票请取下一个号码",
        "look at the bill that has it; take the next number for another bill",
    ),
    BillsReason.NUMBER_VOID: ReasonText(
        "该号码已作废",
        "the number was declared void",
        "取下一个可用号码",
        "take the next free number",
    ),
    BillsReason.BLOCK_CLOSED: ReasonText(
        "号段已关闭",
        "the range is closed",
        "使用开放的号段",
        "use an open range",
    ),
    BillsReason.BLOCK_SUSPENDED: ReasonText(
        "号段已暂停使用",
        "the range is suspended",
        "联系发放单位了解原因并恢复",
        "ask whoever granted it why, and to resume it",
    ),
    BillsReason.TIME_FUTURE: ReasonText(
        "开票时间晚于账本时间",
        "the time of issue is ahead of the ledger",
        "校准本机时钟后重新开具",
        "set the clock right and issue again",
    ),
    BillsReason.TIME_TOO_OLD: ReasonText(
        "开票时间早于允许范围",
        "the time of issue is too far back",
        "以当前时间开具；补开请联系财政部门",
        "issue with the present time; ask finance about late bills",
    ),
    BillsReason.ISSUER_SUSPENDED: ReasonText(
        "开票单位已暂停开票",
        "the issuer is suspended",
        "处理未归档票据或联系财政部门",
        "clear what is not archived, or ask finance",
    ),
    BillsReason.UNARCHIVED: ReasonText(
        "有票据超期未经财政归档核对",
        "bills are overdue for finance's archive",
        "重新投递这些票据的内容",
        "deliver the bodies of those bills again",
    ),
    BillsReason.DEPOSIT_UNKNOWN: ReasonText(
        "没有该预交金票据",
        "there is no such deposit",
        "核对预交金票据的代码、号码和币种",
        "check code, number and currency of the deposit",
    ),
    BillsReason.DEPOSIT_ENDED: ReasonText(
        "该预交金票据已结算或已冲红",
        "the deposit is settled or reversed already",
        "查询该票据的当前状态",
        "look at what became of it",
    ),
    BillsReason.BIZCODE_CONFLICT: ReasonText(
        "同一业务流水号已开具内容不同的票据",
        "the business code already has a bill with other content",
        "查询原票；更正请冲红重开；原票已冲红的，新票序次（ordinal）加一",
        "look at that bill; to correct it, reverse and replace it; if it is reversed, the next has "
        "the next ordinal",
    ),
    BillsReason.REV_NOT_FOUND: ReasonText(
        "找不到被冲红的票据",
        "the bill to be reversed does not exist",
        "核对票据代码和号码",
        "check its code and number",
    ),
    BillsReason.REV_OF_RED: ReasonText(
        "红字票据不能再冲红",
        "a red bill cannot be reversed",
        "如需恢复请重新开具蓝字票据",
        "issue a new blue bill instead",
    ),
    BillsReason.REV_EXCEEDS: ReasonText(
        "冲红金额超过原票余额",
        "the reversal exceeds what is left of the bill",
        "将冲红金额减至余额以内",
        "reverse no more than what is left",
    ),
    BillsReason.REV_OTHER_ISSUER: ReasonText(
        "只能由原开票单位以同一票种冲红",
        "only its issuer reverses a bill, with its type",
        "请原开票单位办理",
        "ask the issuer of the bill",
    ),
    BillsReason.REV_PARTIAL_NOT_ALLOWED: ReasonText(
        "该票种不允许部分冲红",
        "the type does not allow partial reversal",
        "全额冲红后重新开具",
        "reverse it in full and issue a new bill",
    ),
    BillsReason.REV_ENDED: ReasonText(
        "原票已全部冲红",
        "the bill is fully reversed already",
        "无需再次冲红",
        "nothing is left to reverse",
    ),
    BillsReason.REV_TOO_LATE: ReasonText(
        "已超过允许冲红的期限",
        "the time in which the bill may be reversed is over",
        "请联系财政部门",
        "ask finance",
    ),
    BillsReason.REV_SETTLED: ReasonText(
        "该预交金已被结算，不能直接冲红",
        "the deposit is used up by the bill that settled it",
        "先冲红结算它的票据",
        "reverse the bill that settled it first",
    ),
    BillsReason.BILL_UNKNOWN: ReasonText(
        "没有该票据",
        "there is no such bill",
        "核对票据代码和号码",
        "check code and number",
    ),
    BillsReason.OTHER_ISSUER: ReasonText(
        "该票据由其他单位开具",
        "another organisation issued the bill",
        "请开票单位办理",
        "ask its issuer",
    ),
    BillsReason.BILL_STATE: ReasonText(
        "该票据的当前状态不允许此项操作",
        "the bill's state does not allow this",
        "查询票据当前状态",
        "look at its present state",
    ),
    BillsReason.ARCHIVED_BACK: ReasonText(
        "归档进度不能后退",
        "what was said to be archived cannot be taken back",
        "以账本上的归档进度为准继续",
        "go on from what the ledger says",
    ),
    BillsReason.EXCEPTION_INVALID: ReasonText(
        "归档例外清单有误",
        "the list of exceptions is not valid",
        "例外应为该单位已开具的票据，按代码和号码升序，不重复",
        "name bills of this issuer below the index, ascending, each once",
    ),
    BillsReason.RULES_VERSION: ReasonText(
        "票据内容所用的规则版本未知",
        "the body names rules that are not known here",
        "升级软件，或按现行规则版本重新生成",
        "update the software, or make the body under the present rules",
    ),
    BillsReason.CURRENCY_NOT_ALLOWED: ReasonText(
        "该票种不允许此币种",
        "the type does not allow the currency",
        "使用票种规定的币种",
        "use a currency of the type",
    ),
    BillsReason.RELATION_INVALID: ReasonText(
        "关联票据填写有误",
        "the related bills do not make sense",
        "红字票据须且只须填写被冲红的原票；核对结算分票序号",
        "a red bill names the bill it reverses and nothing else; check the part numbers",
    ),
    BillsReason.PARTY_ID_INVALID: ReasonText(
        "单位或交款人的名称、证件号码有误",
        "a name or an identifier of a party is not valid",
        "核对名称和证件号码的校验位",
        "check the name and the check digit of the number",
    ),
    BillsReason.TEXT_INVALID: ReasonText(
        "文字含有控制字符或混合书写方向",
        "a text has control characters or mixed directions",
        "删除不可见字符后重新提交",
        "remove the invisible characters",
    ),
    BillsReason.DATE_INVALID: ReasonText(
        "日期或时间不存在，或先后颠倒",
        "a date or an instant does not exist, or is out of order",
        "核对所示字段：开票时间，或就诊、入院、出院日期",
        "check the field that is named: when it was issued, or of visit, admission, discharge",
    ),
    BillsReason.AMOUNT_FORMAT: ReasonText(
        "金额格式有误",
        "the amount is not written as an amount",
        "写成如 993.54 的形式，无千分位和正号",
        "write it like 993.54, without separators or plus sign",
    ),
    BillsReason.ITEM_LIMIT: ReasonText(
        "项目行数不符合票种规定",
        "too many lines, or none",
        "合并项目，或分开开具",
        "merge lines, or issue several bills",
    ),
    BillsReason.ITEM_UNKNOWN: ReasonText(
        "收费项目编码不在目录中",
        "an item code is not in the catalogue",
        "使用票种目录中的项目编码",
        "use an item code of the type's catalogue",
    ),
    BillsReason.DETAIL_ORPHAN: ReasonText(
        "清单明细没有对应的收费项目",
        "a list line belongs to no item",
        "核对明细所属的项目行",
        "check which item the line belongs to",
    ),
    BillsReason.EXTENSION_UNKNOWN: ReasonText(
        "扩展项不在目录中或重复",
        "an extension is unknown or given twice",
        "只用票种规定的扩展项，每项一次",
        "use the type's extension keys, each once",
    ),
    BillsReason.NEGATIVE_LINE: ReasonText(
        "存在负数金额的明细",
        "there are lines with negative amounts",
        "将退药退费行与原行相抵后再开票",
        "net returned goods with their original lines",
    ),
    BillsReason.ZERO_LINE: ReasonText(
        "存在金额为零的明细",
        "there are lines of zero",
        "删除金额为零的行",
        "leave out the lines of zero",
    ),
    BillsReason.ZERO_TOTAL: ReasonText(
        "票据金额为零",
        "the total is zero",
        "该票种不开具零金额票据",
        "no bill of this type is due for nothing",
    ),
    BillsReason.ROUNDING_LIMIT: ReasonText(
        "尾差超过票种限额",
        "the rounding is more than the type allows",
        "核对合计金额",
        "check the total",
    ),
    BillsReason.SUM_ITEMS: ReasonText(
        "项目金额合计与票据总金额不符",
        "the items do not add up to the total",
        "核对项目、减免、尾差与总金额",
        "check items, discount, rounding and total",
    ),
    BillsReason.SUM_DETAILS: ReasonText(
        "清单明细合计与项目金额不符",
        "the list lines do not add up to their item",
        "核对该项目的清单明细",
        "check the list lines of that item",
    ),
    BillsReason.SUM_SOURCES: ReasonText(
        "各支付来源合计与总金额不符",
        "the sources of payment do not add up to the total",
        "核对统筹基金、其他、个人账户和现金支付",
        "check fund, other, account and cash",
    ),
    BillsReason.SUM_LIABILITY: ReasonText(
        "个人自付与自费合计不符",
        "self-pay and self-expense do not add up",
        "自付加自费应等于账户支付加现金支付",
        "they must equal account plus cash",
    ),
    BillsReason.CLASS_INVALID: ReasonText(
        "医保类别或先行自付填写有误",
        "an insurance class or its self-paid part is not valid",
        "核对该行的甲乙丙类别、自付比例和金额",
        "check class, ratio and amounts of that line",
    ),
    BillsReason.SUM_CLASSES: ReasonText(
        "甲乙丙类合计与明细不符",
        "the sums by insurance class do not match the lines",
        "核对乙类、丙类和先行自付合计",
        "check the sums of class b, class c and pre-self-pay",
    ),
    BillsReason.SUM_INPATIENT: ReasonText(
        "预缴、补缴、退费与现金支付不符",
        "prepaid, recharged and refunded do not give the cash part",
        "预缴加补缴减退费应等于现金支付",
        "prepaid plus recharged less refunded must equal cash",
    ),
    BillsReason.SUM_CHANNELS: ReasonText(
        "交费渠道合计与所属支付来源不符",
        "the pay channels do not add up to their source",
        "核对各渠道金额",
        "check the amounts of the channels",
    ),
    BillsReason.BODY_MISMATCH: ReasonText(
        "票据内容与账本记录不一致",
        "the body is not what the record says",
        "不要使用该票据内容，并向开票单位和财政部门报告",
        "do not use this body; report it to the issuer and to finance",
    ),
}
