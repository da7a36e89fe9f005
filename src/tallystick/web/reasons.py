"""What the web side of a node says no with, before or beside the ledger, and what people read.

Nothing of it is consensus: another node may be busy when this one is not. `web.problems` says which
HTTP status goes with each.

Invariant: append-only; a word is never reused and never changes its meaning.
See docs/spec/refusals.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason


class WebReason(Reason):
    """Why a request was not answered as its sender hoped."""

    # Who asks.
    UNSIGNED = "web.unsigned"
    SIGNATURE = "web.signature"
    UNCOVERED = "web.uncovered"
    AUTHORITY = "web.authority"
    CLOCK = "web.clock"
    DIGEST = "web.digest"
    REPLAYED = "web.replayed"
    CROWDED = "web.crowded"
    KEY = "web.key"
    PASS = "web.pass"
    PASS_ENDED = "web.pass_ended"
    OPENING = "web.opening"
    FORBIDDEN = "web.forbidden"

    # What is asked, and how.
    MALFORMED = "web.malformed"
    NOT_FOUND = "web.not_found"
    METHOD = "web.method"
    TOO_LARGE = "web.too_large"
    HEADER_TOO_LARGE = "web.header_too_large"
    UNSUPPORTED_MEDIA = "web.unsupported_media"
    NOT_ACCEPTABLE = "web.not_acceptable"

    # How this node is doing.
    TIMEOUT = "web.timeout"
    BUSY = "web.busy"
    NOT_YET = "web.not_yet"
    READ_ONLY = "web.read_only"
    STOPPED = "web.stopped"

    FALSE = "web.false"
    ADDRESS_TOO_LONG = "web.address_too_long"
    FAULT = "web.fault"
    DAMAGED = "web.damaged"
    TOO_MANY = "web.too_many"


TEXTS: dict[Reason, ReasonText] = {
    WebReason.UNSIGNED: ReasonText(
        "此请求须签名或出示通行证",
        "this has to be asked by a signed request, or with a pass",
        "用本单位的操作密钥或票据密钥签名后重新请求",
        "sign the request with an operating key, a keeper's key or the bill's key",
    ),
    WebReason.SIGNATURE: ReasonText(
        "请求的签名缺失字段、格式有误或不成立",
        "the request's signature is not of the one form, or does not hold",
        "核对密钥与签名格式，每个请求只带一个签名，签名后勿再改动请求",
        "check key and form; put one signature on a request and change nothing after signing",
    ),
    WebReason.UNCOVERED: ReasonText(
        "签名没有覆盖必须覆盖的部分",
        "the signature leaves out what it has to cover",
        "签名应覆盖方法、主机、路径、查询串，有正文时还应覆盖 content-digest",
        "cover method, authority, path and query, and content-digest where there is a body",
    ),
    WebReason.AUTHORITY: ReasonText(
        "该请求是签给另一个主机的",
        "the request was signed for another host",
        "向签名时所写的主机发送，或请服务方核对其公开地址的配置",
        "send it to the host that it names; or have the operator check its public address",
    ),
    WebReason.CLOCK: ReasonText(
        "签名时间太早、太晚，或有效期超过60秒",
        "it was signed too long ago, in the future, or for more than 60 seconds",
        "校准本机时钟后重新签名",
        "set this machine's clock right and sign anew",
    ),
    WebReason.DIGEST: ReasonText(
        "正文与签名中的摘要不符",
        "the body is not the one whose digest was signed",
        "对实际发送的正文重新计算摘要并签名",
        "sign the very bytes that are sent",
    ),
    WebReason.REPLAYED: ReasonText(
        "该签名的请求已收到过一次",
        "this signed request came once before",
        "重试时请用新的随机数重新签名",
        "to ask again, sign anew with a new nonce",
    ),
    WebReason.CROWDED: ReasonText(
        "该密钥一分钟内的请求过多",
        "this key has signed too many requests within a minute",
        "稍候重试，并合并请求",
        "wait, and ask for more at once",
    ),
    WebReason.KEY: ReasonText(
        "签名密钥未登记、已终止，或不能用于查询",
        "the key that asks is not registered, has ended, or may ask nothing",
        "换用本单位有效的操作密钥或见证密钥",
        "ask with a live operating key or keeper's key",
    ),
    WebReason.PASS: ReasonText(
        "通行证格式有误或其签名不成立",
        "this is no pass of this network, or its signature does not hold",
        "核对是否完整复制，或请签发单位重新签发",
        "check that it was copied whole; else have a new one made",
    ),
    WebReason.PASS_ENDED: ReasonText(
        "通行证已到期、已撤销，或签发它的密钥已终止",
        "the pass is over or revoked, or the key that made it has ended",
        "请签发单位重新签发",
        "have a new one made",
    ),
    WebReason.OPENING: ReasonText(
        "所示开启值与票据登记的持有人承诺不符",
        "what the request shows does not open the bill's commitment to its holder",
        "用该票据自己的密钥签名，并附上其开启值",
        "sign with that bill's own key, and show that bill's opening",
    ),
    WebReason.FORBIDDEN: ReasonText(
        "无权查询此内容",
        "whoever asks has no right to see this",
        "凭同意、委托或授权查询，或请上级授予查询权限",
        "show the consent or mandate, or ask for a grant that allows the reading",
    ),
    WebReason.MALFORMED: ReasonText(
        "请求不符合格式",
        "the request has not the form that is asked for",
        "按所示字段改正后重试",
        "mend the field that is named and try again",
    ),
    WebReason.NOT_FOUND: ReasonText(
        "没有这样的内容",
        "there is no such thing here",
        "核对地址与编号",
        "check the address and the number",
    ),
    WebReason.METHOD: ReasonText(
        "该地址不接受此方法",
        "this address does not take that method",
        "使用 Allow 标头所列的方法",
        "use one that the Allow header names",
    ),
    WebReason.TOO_LARGE: ReasonText(
        "正文过大",
        "the body is too large",
        "分成几次提交",
        "send it in several parts",
    ),
    WebReason.HEADER_TOO_LARGE: ReasonText(
        "标头过大或过多",
        "the headers are too large or too many",
        "去掉多余的标头",
        "leave out what is not needed",
    ),
    WebReason.UNSUPPORTED_MEDIA: ReasonText(
        "不接受这种类型的正文",
        "a body of this type is not taken",
        "按接口说明填写 Content-Type，且不要压缩",
        "set Content-Type as the description of the API says, and do not compress",
    ),
    WebReason.NOT_ACCEPTABLE: ReasonText(
        "不能按所要求的类型回答",
        "there is no answer of the type that is asked for",
        "放宽 Accept 标头",
        "accept what the description of the API names",
    ),
    WebReason.TIMEOUT: ReasonText(
        "请求未在规定时间内送完或办完",
        "the request was not sent, or not done, in time",
        "可能已入账：用同样的内容重试，结果相同",
        "it may have been entered: send the same bytes again, the answer will be the same",
    ),
    WebReason.BUSY: ReasonText(
        "服务繁忙，未受理",
        "the service is busy; nothing was taken",
        "按 Retry-After 所示时间后重试",
        "try again after the time that Retry-After says",
    ),
    WebReason.NOT_YET: ReasonText(
        "见证方尚未签满，收据还未就绪",
        "not enough keepers have signed yet; the receipt is not ready",
        "稍候再取；已入账的内容不会丢失",
        "fetch it a little later; what was entered is not lost",
    ),
    WebReason.READ_ONLY: ReasonText(
        "此处只供查询，不受理提交",
        "this server answers questions and takes nothing in",
        "向运营方的地址提交",
        "submit to the operator's address",
    ),
    WebReason.STOPPED: ReasonText(
        "账本已停止受理，等待检修",
        "the ledger has stopped and takes nothing until it is looked at",
        "联系运维；已确认的内容不会丢失",
        "tell the operator; what was acknowledged is not lost",
    ),
    WebReason.FALSE: ReasonText(
        "所提交内容中的签名或证明不成立",
        "a signature or a proof in what was sent does not hold",
        "核对所用密钥，以及签名后内容是否被改动",
        "check the key, and that nothing was changed after signing",
    ),
    WebReason.ADDRESS_TOO_LONG: ReasonText(
        "请求地址过长",
        "the address of the request is too long",
        "缩短查询条件，或分成几次查询",
        "ask for less at once",
    ),
    WebReason.FAULT: ReasonText(
        "服务内部错误",
        "an error of this service itself",
        "提交类请求可能已入账：用同样的内容重试，结果相同；仍出错时把 instance 编号告知运维",
        "what you submitted may have been entered: the same bytes again give the same answer; "
        "if it fails again, tell the operator the instance",
    ),
    WebReason.DAMAGED: ReasonText(
        "本服务器的文件已损坏，等待检修",
        "a file of this server is damaged; it has to be looked at",
        "联系运维；可改向其他见证方查询",
        "tell the operator; another keeper may answer meanwhile",
    ),
    WebReason.TOO_MANY: ReasonText(
        "此类登记已达上限",
        "there are as many of these as one may have",
        "删去不再使用的登记后重试",
        "remove those that are not used any more, then try again",
    ),
}
