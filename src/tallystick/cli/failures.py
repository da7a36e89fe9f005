"""What goes wrong, as people and scripts are told: a stable code, zh and en, what to do, exit code.

    0   done                                2   the input or the command cannot be read
    1   a proof or signature is false       3   authentic, but refused or not good
    4   in use or busy: try again           5   a file of ours is damaged, or unfit
    70  a bug of ours                       130 interrupted

Invariant: every error has an exit code of this table and one message; only TALLY_DEBUG=1 shows a
traceback. See docs/cli.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from rich.text import Text

from tallystick.cli import out
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import (
    Busy,
    Damaged,
    Malformed,
    Rejected,
    TallystickError,
    VerificationFailed,
)

FALSE = 1
UNREADABLE = 2
REFUSED = 3
BUSY = 4
DAMAGED = 5
BUG = 70
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Failure:
    """One error, ready to be shown."""

    code: str
    exit_code: int
    zh: str
    en: str
    todo_zh: str = ""
    todo_en: str = ""
    path: str = ""
    detail: str = ""

    def show(self, *, as_json: bool) -> None:
        """On the standard error."""
        if as_json:
            named = {name: getattr(self, name) for name in self.__slots__}
            named["detail"] = _in_words(self.detail, "en")
            print(encode({"error": named}).decode(), file=sys.stderr)
            return
        chinese = out.language() == "zh"
        out.warn(f"{self.code}: {out.plain(self.zh if chinese else self.en)}", "bold red")
        shown = out.console(errors=True)
        for name, value in (
            ("字段" if chinese else "field", self.path),
            ("详情" if chinese else "found", _in_words(self.detail, out.language())),
            ("处理" if chinese else "do", self.todo_zh if chinese else self.todo_en),
        ):
            if value:
                shown.print(Text(f"  {name}: {out.plain(value)}"))


class _Known(NamedTuple):
    """The last two fields of a `Failure`."""

    path: str
    detail: str


class Usage(Exception):
    """The command cannot be carried out as it was given; carries its `Failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.en)
        self.failure = failure


def fail(
    code: str,
    zh: str,
    en: str,
    *,
    todo: tuple[str, str] = ("", ""),
    detail: str = "",
    path: str = "",
    exit_code: int = UNREADABLE,
) -> NoReturn:
    """Give up with a message; `todo` is (zh, en)."""
    raise Usage(Failure(code, exit_code, zh, en, *todo, path=path, detail=detail))


def failure_of(error: Exception) -> Failure | None:
    """What to say of an expected error; None: it is a bug."""
    if isinstance(error, Usage):
        return error.failure
    if isinstance(error, TallystickError):
        return _expected(error)
    if isinstance(error, OSError):
        return _of_system(error)
    return None


def bug_of(error: Exception) -> Failure:
    """What to say of everything else."""
    return Failure(
        *("cli.bug", BUG),
        "程序内部错误，账本未受影响",
        "an error of this program itself; what was acknowledged is safe",
        "以 TALLY_DEBUG=1 重新运行，并把完整输出报告给项目",
        "run it again with TALLY_DEBUG=1 and report the whole output to the project",
        detail=f"{type(error).__name__}: {error}"[:300],
    )


def _expected(error: TallystickError) -> Failure:
    known = _Known(error.path, error.detail)
    name = type(error).__name__
    if isinstance(error, Rejected):
        return _rejected(error)
    if isinstance(error, Busy):
        return Failure(
            *("cli.busy", BUSY, "账本忙，本次未受理", "the ledger is busy; nothing was taken"),
            *("稍后重试", "try again in a few seconds", *known),
        )
    if name == "Locked":
        return _locked(getattr(error, "folder", None), known)
    if name in _BY_NAME:
        return Failure(*_BY_NAME[name], *known)
    for kind, code, exit_code, zh, en, todo_zh, todo_en in _KINDS:
        if isinstance(error, kind):
            return Failure(code, exit_code, zh, en, todo_zh, todo_en, *known)
    return Failure("cli.failed", FALSE, "操作失败", "it failed", "", "", *known)


_HOLDERS: tuple[tuple[str, str, str, str, str], ...] = (
    (
        *("box", "账本的节点（tally node）或经 --dir 操作的命令"),
        "the ledger's node (tally node), or a command that acts with --dir",
        "节点运行时以 --box 目录 代替 --dir 目录 投递；命令则等其结束",
        "if it is the node, hand your act to it: put --box LEDGER in place of --dir LEDGER; "
        "if it is a command, wait until it has ended",
    ),
    (
        *("signed.json", "见证节点（tally keep）", "a keeper (tally keep)"),
        "每个见证目录只由一个 tally keep 使用；停止另一个，或等其结束",
        "a keeper's folder is for one tally keep at a time: stop the other, or wait",
    ),
    (
        *("claims.db", "报销台（正在锁定、解锁或结算的命令）"),
        "a reimburser's desk (a command that locks, answers or looks up claims)",
        "每个报销目录同时只由一个命令使用；等其结束后重试，未完成的会接着办完",
        "a desk is for one such command at a time: wait until it has ended, then run yours again",
    ),
    (
        *("pending", "开票办公室（正在开票、冲红或送达的命令）"),
        "an issuer's office (a command that issues, reverses or delivers)",
        "每个保管库同时只由一个命令使用；等其结束后重试，未完成的会接着办完",
        "a vault is for one such command at a time: wait until it has ended, then run yours again",
    ),
    (
        *("bodies", "财政归档（tally bills archive run）", "an archive (tally bills archive run)"),
        "每个归档目录只由一个进程使用；停止另一个",
        "an archive's folder is for one process at a time: stop the other",
    ),
)
"""What lies in a folder, and so whose it is and what holds it: (name, zh, en, what to do)."""


def _locked(folder: Path | None, known: _Known) -> Failure:
    for name, zh, en, todo_zh, todo_en in _HOLDERS:
        if folder is not None and (folder / name).exists():
            return Failure(
                *("cli.locked", BUSY, f"该目录正被另一进程使用：{zh}"),
                *(f"this folder is in use by another process: {en}", todo_zh, todo_en, *known),
            )
    return Failure(
        *("cli.locked", BUSY, "该目录正被另一进程使用", "this folder is in use by another process"),
        *("等另一进程结束", "wait until the other has ended", *known),
    )


def _in_words(detail: str, language: out.Language) -> str:
    from tallystick.cli.forms import in_words

    return in_words(detail, language)


_AWAY = (
    *("cli.no_answer", BUSY, "服务没有应答", "the server does not answer"),
    *("核对地址与网络后重试", "check the address and the network, and try again"),
)

_BY_NAME: dict[str, tuple[str, int, str, str, str, str]] = {
    "DiskFull": (
        *("cli.disk_full", DAMAGED, "磁盘已满", "the disk is full"),
        *("腾出空间后重新启动；账本没有损坏", "make room and start again; nothing is damaged"),
    ),
    "ClockDoubt": (
        *("cli.clock", DAMAGED, "本机时钟不可信", "this machine's clock is not believed"),
        "校准时钟；确认无误后运行 tally clock confirm 目录",
        "set the clock; if it is right, run tally clock confirm DIR",
    ),
    "Away": _AWAY,
    "Unanswered": _AWAY,
    "Stopped": (
        *("cli.stopped", DAMAGED, "记账引擎已停止", "the engine of this ledger has stopped"),
        "按所示原因处理（磁盘空间、时钟、磁盘故障），再运行 tally doctor 目录；之后重新运行："
        "已受理的不会丢失，也不会重复",
        "mend what is said to have stopped it (room, clock, disk) and run tally doctor DIR; "
        "then run it again: nothing that was answered is lost, nothing is done twice",
    ),
    "PendingDamaged": (
        *("office.pending_damaged", DAMAGED, "在途交易文件已损坏，无法继续办理"),
        "a file of what is under way is damaged, and the office or desk cannot go on",
        "其交易可能已入账，也可能没有：该文件写入满一小时后（此前仍可能入账）把它移出 pending/ "
        "并保留，再重新运行；届时将按账本核对每张票据",
        "its transaction may be on the ledger or not. An hour after the file was written (it may "
        "be taken until then) move it out of pending/, keep it, and run again: the ledger is then "
        "asked about each bill",
    ),
}
"""Kinds that are told apart by name, so that no message needs the rooms that they live in."""

_KINDS: tuple[tuple[type[TallystickError], str, int, str, str, str, str], ...] = (
    (
        *(Damaged, "cli.damaged", DAMAGED, "账本文件已损坏", "a file of ours is damaged"),
        "停止使用该目录；运行 tally doctor 查明范围，再从备份或导出恢复",
        "use this folder no more; tally doctor says how far it goes, then restore a backup",
    ),
    (
        *(Malformed, "cli.malformed", UNREADABLE, "内容不符合格式", "this is not well formed"),
        "按所示字段改正后重试",
        "mend the field that is named and try again",
    ),
    (
        *(VerificationFailed, "cli.false", FALSE, "核验不通过", "a proof or signature fails"),
        "不要采信；核对来源、密钥与口令",
        "do not rely on it; check where it comes from, the key and the passphrase",
    ),
)


def _rejected(error: Rejected) -> Failure:
    from tallystick.cli.reasons import texts

    code = error.reason.value
    known = _Known(error.path, "" if error.detail == code else error.detail)
    text = texts().get(code)
    if text is None:
        return Failure(code, REFUSED, code, code, "", "", *known)
    return Failure(code, REFUSED, *text, *known)


def _of_system(error: OSError) -> Failure:
    where = str(error.filename2 or error.filename or error)  # of a link or a move, what it makes
    for kind, zh, en in (
        (FileNotFoundError, "文件或目录不存在", "there is no such file or folder"),
        (FileExistsError, "已存在，不会覆盖", "it exists already and is not overwritten"),
        (IsADirectoryError, "这是目录，需要文件", "this is a folder; a file is needed"),
        (NotADirectoryError, "这是文件，需要目录", "this is a file; a folder is needed"),
        (PermissionError, "没有读写权限", "no permission to read or write it"),
    ):
        if isinstance(error, kind):
            code = f"cli.{kind.__name__.removesuffix('Error').lower()}"
            return Failure(code, UNREADABLE, zh, en, "核对路径", "check the path", detail=where)
    return Failure(
        *("cli.system", DAMAGED, "系统读写失败", "the system could not read or write"),
        *("检查磁盘空间与权限", "check disk space and permissions"),
        detail=f"{error.strerror or error}: {where}",
    )
