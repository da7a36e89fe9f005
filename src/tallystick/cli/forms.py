"""What a field must look like, in words: for people, in place of the pattern that checks it.

Invariant: every pattern of a record has its words here (tested), and what is not known is shown as
it came. See docs/cli.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from tallystick import keyring
from tallystick.apps.bills import fields
from tallystick.cli.out import Language
from tallystick.contracts.bills import body
from tallystick.contracts.bills.items import supervision
from tallystick.contracts.bills.records import accounts, claims
from tallystick.contracts.bills.records import bills as records
from tallystick.contracts.kit import grants
from tallystick.protocol import entry, genesis, row, values

_FORMS: tuple[tuple[Any, str, str], ...] = (
    (values.Currency, "货币：三个大写字母，如 CNY", "a currency: three capitals, like CNY"),
    (
        values.OrgId,
        "单位代号：以小写字母开头，只含 a–z、0–9 和 -，至多 40 个字符",
        "an organisation: a–z, 0–9 and -, a letter first, at most 40",
    ),
    (
        values.ActionName,
        "操作名：如 bills.issue/1",
        "an action with its version, like bills.issue/1",
    ),
    (
        values.Word,
        "一个词：以小写字母开头，只含 a–z、0–9 和 _，至多 40 个字符",
        "a word: a–z, 0–9 and _, a letter first, at most 40",
    ),
    (values.TxId, "交易编号：64 位十六进制", "a transaction's id: 64 hex digits, small letters"),
    (values.Instant, "时间：如 2026-01-31T09:00:00Z", "an instant, like 2026-01-31T09:00:00Z"),
    (values.Day, "日期：如 2026-01-31", "a day, like 2026-01-31"),
    (row.RowKind, "记录种类：如 bills.bill", "a kind of row, like bills.bill"),
    (
        row.RowId,
        "记录编号：不含空格的可见 ASCII 字符，至多 140 个",
        "a row's id: visible ASCII without spaces, at most 140",
    ),
    (
        r"\A[a-z]{1,16}\.[a-z_]{1,24}/[!-~]{1,140}\Z",
        "记录键：种类/编号",
        "a row's key: its kind, / and its id",
    ),
    (
        entry.Outcome,
        "结果：accepted 或拒绝代码",
        "an outcome: accepted, or the code of a refusal",
    ),
    (
        genesis.KeyName,
        "名称：只含 a–z、0–9、点、/ 和 -，至多 121 个字符",
        "a name: a–z, 0–9, dots, / and -, at most 121",
    ),
    (
        genesis.NetworkName,
        "网络名称：只含 a–z、0–9、点、/ 和 -，至多 100 个字符",
        "a network's name: a–z, 0–9, dots, / and -, at most 100",
    ),
    (
        genesis.ActionPattern,
        "授权范围：如 bills.issue、bills.* 或 *",
        "what is allowed: bills.issue, bills.* or *",
    ),
    (
        keyring.KeyName,
        "密钥名称：不含空格和 + 的可见 ASCII 字符，至多 80 个",
        "a key's name: visible ASCII without spaces and +, at most 80",
    ),
    (
        records.BillId,
        "票据：八位代码、冒号、十位号码",
        "a bill: code of eight digits, a colon, number of ten",
    ),
    (
        records.CatalogueCode,
        "目录编码：字母、数字、点、_ 和 -，至多 40 个字符",
        "a code of the catalogue: letters, digits, dots, _ and -, at most 40",
    ),
    (
        body.Code,
        "编码：不含空格的可见 ASCII 字符，至多 64 个",
        "a code: visible ASCII without spaces, at most 64",
    ),
    (
        r"\A[0-9A-Za-z]{6,12}\Z",
        "校验码：6 至 12 位字母或数字",
        "a check code: 6 to 12 letters or digits",
    ),
    (
        r"\A(0|[1-9][0-9]{0,2})\Z",
        "项号：0 至 999",
        "an item's number, 0 to 999",
    ),
    (
        r"\A(\*|[a-z]{1,20}\.(\*|[a-z_]{1,40}))\Z",
        "事件类型：如 bill.issued、claim.* 或 *",
        "types of events: bill.issued, claim.* or *",
    ),
    (
        r"\A[!-)+-~]{0,200}\*?\Z",
        "编号：不含空格的可见 ASCII 字符，末尾可用 *",
        "an id: visible ASCII without spaces, a * only at its end",
    ),
    (
        r"\A[!-~]{1,200}\Z",
        "编号：不含空格的可见 ASCII 字符，至多 200 个",
        "an id: visible ASCII without spaces, at most 200",
    ),
    (
        r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z",
        "日期：如 2026-01-31",
        "a day, like 2026-01-31",
    ),
    (
        r"\A[0-9a-f]{32}\Z",
        "32 位十六进制小写字符",
        "32 hex digits, lower case",
    ),
    (
        r"\A[a-z]{1,16}\.[a-z0-9_]{1,40}\Z",
        "原因编码：如 bills.number_used",
        "a reason, like bills.number_used",
    ),
    (
        r"\A[a-z]{1,20}\.[a-z_]{1,40}\Z",
        "事件类型：如 bill.issued",
        "a type of event, like bill.issued",
    ),
    (
        r"\Ah[0-9a-f]{32}\.(-1|0|[1-9][0-9]{0,15})\.(0|[1-9][0-9]{0,15})\Z",
        "推送编号",
        "the id of a delivery",
    ),
    (
        r"\Ah[0-9a-f]{32}\Z",
        "推送订阅编号：h 加 32 位十六进制字符",
        "the id of a hook: h and 32 hex digits",
    ),
    (
        r"\A[^/]+/.+\Z",
        "数据行：种类/编号",
        "a row: kind/id",
    ),
    (
        r"\A[a-z0-9][a-z0-9._-]{0,39}\Z",
        "令牌名称：小写字母、数字、点、_ 和 -，至多 40 个字符",
        "a token's name: lower case letters, digits, dots, _ and -, at most 40",
    ),
    (
        grants.GrantId,
        "授权编号：如 founding.0，或条目编号",
        "a grant: founding.0, or the id of the item that gave it",
    ),
    (
        supervision.FindingId,
        "疑点编号：交易编号加点和项号",
        "a finding: the id of its transaction, a dot, and the item's number",
    ),
    (accounts.Month, "月份：如 2026-01", "a month, like 2026-01"),
    (
        accounts.AccountId,
        "核销编号：号段，或 单位/票种/月份",
        "an account: a block's id, or ORG/TYPE/MONTH",
    ),
    (
        claims.RightId,
        "授权编号：签署内容的 64 位十六进制，或授权的编号",
        "a right: an act's 64 hex digits, or a grant's id",
    ),
    (
        fields.Pattern,
        "票面字段：如 total、items/3、items/*",
        "a field: like total, items/3 or items/*",
    ),
)
_KINDS = {
    "str": ("文字", "text"),
    "int": ("整数", "a whole number"),
    "float": ("小数", "a fraction"),
    "bool": ("true 或 false", "true or false"),
    "bytes": ("base64", "base64"),
    "array": ("列表", "a list"),
    "object": ("对象", "an object"),
    "null": ("空值", "nothing"),
}
_SENTENCES: tuple[tuple[str, str, str], ...] = (
    (r"Expected `int` >= (-?\d+)", "应为不小于 {} 的整数", "a whole number, at least {}"),
    (r"Expected `int` <= (-?\d+)", "应为不大于 {} 的整数", "a whole number, at most {}"),
    (r"Expected `int` < (-?\d+)", "应为小于 {} 的整数", "a whole number below {}"),
    (r"Expected `bytes` of length [<>]= (\d+)", "应为 {} 字节的 base64", "{} bytes in base64"),
    (r"Expected `str` of length <= (\d+)", "至多 {} 个字符", "at most {} characters"),
    (r"Expected `array` of length >= (\d+)", "至少 {} 项", "a list of at least {}"),
    (r"Expected `array` of length <= (\d+)", "至多 {} 项", "a list of at most {}"),
    (r"Expected `([^`]+)`, got `([^`]+)`", "应为{}，实为{}", "expected {}, got {}"),
    (r"Object missing required field `([^`]+)`", "缺少字段 {}", "the field {} is missing"),
    (r"Object contains unknown field `([^`]+)`", "没有字段 {}", "there is no field {}"),
    (r"Invalid enum value (\S+)", "{} 不在可选值之中", "{} is none of the allowed words"),
    (r"Invalid base64 encoded string", "不是 base64", "this is not base64"),
)
_PATTERN = re.compile(r"Expected `str` matching regex '([^']*)'")


@cache
def forms() -> dict[str, tuple[str, str]]:
    """What each pattern asks for: (zh, en)."""
    return {
        kind if isinstance(kind, str) else kind.__metadata__[0].pattern: (zh, en)
        for kind, zh, en in _FORMS
    }


def in_words(detail: str, language: Language) -> str:
    """What the parser found wrong, in the reader's language and without patterns."""
    chinese = language == "zh"

    def form(found: re.Match[str]) -> str:
        known = forms().get(found[1].replace("\\\\", "\\"))
        if known is None:
            return found[0]
        return f"应为{known[0]}" if chinese else f"expected {known[1]}"

    if not any(word in detail for word in ("Expected", "Object", "Invalid")):
        return detail
    told = _PATTERN.sub(form, detail)
    for pattern, *texts in _SENTENCES:
        told = re.sub(pattern, partial(_sentence, texts, chinese), told)
    return told


def _sentence(texts: Sequence[str], chinese: bool, found: re.Match[str]) -> str:
    return texts[not chinese].format(*(_kinds(each, chinese) for each in found.groups()))


def _kinds(text: str, chinese: bool) -> str:
    """``str | null``: text or nothing."""
    parts = text.split(" | ")
    if not all(each in _KINDS for each in parts):
        return text
    return ("或" if chinese else " or ").join(_KINDS[each][not chinese] for each in parts)
