"""``docs/when-something-is-red*.md``, made from ``reconciler/reasons.json``; ``--check`` writes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from reconciler.words import Language, explain

TOP = Path(__file__).parents[1]
REASONS: Mapping[str, object] = json.loads((TOP / "reconciler" / "reasons.json").read_text("utf-8"))

GROUPS = {
    "process": """
        BackOff ConfigurationInvalid RestartLimit RestartNever StartFailed StartTimeout ReportStale
        LogSilent MemoryLimit GraceExpired Exited Signal Unobserved NotRunning Missing Starting Stopping
        Reconciling RemovalPending DigestChanged Stalled Held Stopped Completed Paused Down Duplicate
        LeaderDead LockHeld ProcessTableUnread""",
    "manifests": """
        ManifestInvalid ManifestBroken ManifestsUnread SourceError PruneBlocked NothingWanted TooManyRemoved
        Protected Removed NotSelected NotConverged New SecretUnreadable""",
    "device": """
        DeviceDisconnected DeviceLost ConnectionRefused ConnectTimeout ConnectionLost Timeout WrongAnswer
        NoReading StaleTags TagsStale""",
    "modbus": """
        IllegalFunction IllegalDataAddress IllegalDataValue DeviceFailure Acknowledge DeviceBusy
        MemoryParityError GatewayPathUnavailable GatewayTargetSilent ModbusException*""",
    "melsec": """
        RangeError UnknownCommand TooManyPoints WrongCode DeviceNotAvailable PlcTimeout WrongPc ModuleMode
        SpecialModule RemoteRefused BusError WrongLength PlcBusy EndCode*""",
    "opcua": """
        ServerNotTrusted CertificateUnusable NoSuchEndpoint SecureChannelRefused BadAnswer KeepAliveMissing
        NamespaceUnknown BadNodeIdUnknown BadNoMatch BadUserAccessDenied Bad* Uncertain* Status0x*""",
    "value": """
        NoValue NoScalar TypeChanged UnsupportedType NotANumber Infinite OutOfRange NotBcd NotText""",
    "data": """
        DataHeld SinkNotRunning Unreachable Unavailable ServerError TooManyRequests Unauthorized Forbidden
        DatabaseNotFound UnexpectedAnswer NotCounted Malformed TooLarge Rejected DatabaseError DataDropped
        DataRejected Draining""",
    "host": """
        DiskFull OutboxUnwritable OutboxDamaged CursorsUnwritable ClockBehind ClockSet""",
}
"""Every reason that can be met as a problem, by where it lies."""

GOOD_NEWS = """
    Collecting Sending Running UpToDate AllGood Ready Healthy Unchanged LiveFieldsChanged RestartAsked
    Unneeded Elsewhere LoopStarted LoopEnded Started Updated Killed Ended Released ManifestMended DataFlows Resumed
    PruneUnblocked LockFree TagsFresh DeviceBack Converged RevisionApplied SourceMended DataKept DataTaken DiskFree
    OutboxMended OutboxRemoved ClockCaughtUp"""
"""The others: nothing is wrong, or no longer, or somebody asked for it."""

TITLES: Mapping[Language, Mapping[str, tuple[str, str]]] = {
    "en": {
        "process": ("Process", "`Ready` is False, or the last end of its process."),
        "manifests": (
            "Manifests",
            "`ManifestInvalid`, `PruneBlocked`, `NotSelected`: files, git, and what was removed.",
        ),
        "device": (
            "Devices, any protocol",
            "`DeviceDisconnected`, or `Healthy` False because of stale values.",
        ),
        "modbus": ("Modbus", "What a device or gateway answers; see also [modbus.md](modbus.md)."),
        "melsec": ("MELSEC", "What a PLC or its Ethernet module answers; see also [melsec.md](melsec.md)."),
        "opcua": ("OPC UA", "What a server answers; see also [opcua.md](opcua.md)."),
        "value": ("Values", "A reading came and cannot be stored: the tag is bad, its field stays empty."),
        "data": ("Data and databases", "`DataHeld`, and the sink's own row; see also [data.md](data.md)."),
        "host": (
            "Host",
            "Disk and clock; `daq doctor` checks both; see also [operations.md](operations.md).",
        ),
    },
    "zh": {
        "process": ("进程", "`Ready` 为 False 的原因，或进程上次结束的原因。"),
        "manifests": (
            "清单",
            "`ManifestInvalid`、`PruneBlocked`、`NotSelected`：文件、git 以及被删除的内容。",
        ),
        "device": ("设备（各协议通用）", "`DeviceDisconnected`，或因数值过期而 `Healthy` 为 False。"),
        "modbus": ("Modbus", "设备或网关的应答；另见 [modbus.md](modbus.md)（英文）。"),
        "melsec": ("MELSEC（三菱）", "PLC 或以太网模块的应答；另见 [melsec.md](melsec.md)（英文）。"),
        "opcua": ("OPC UA", "服务器的应答；另见 [opcua.md](opcua.md)（英文）。"),
        "value": ("数值", "读到了数据但无法存储：该点位为坏值，不写入字段。"),
        "data": (
            "数据与数据库",
            "`DataHeld`，以及数据目标（Sink）自己的一行；另见 [data.md](data.md)（英文）。",
        ),
        "host": ("主机", "磁盘与时钟；`daq doctor` 会检查；另见 [operations.md](operations.md)（英文）。"),
    },
}

HEADS: Mapping[Language, str] = {
    "en": """\
# When something is red

From condition to cause to cure. Every reason that daq gives is one word, the same in `daq status`, on the live page, in
events and in JSON. Begin here:

```console
$ daq status          # the worst first, its reason, and what to do
$ daq events          # what happened, in order
$ daq doctor --offline
```

Then the log of the one that is red, `daq logs NAME`, and its devices, `daq read NAME`. A `*` stands for the rest of a
word: `EndCode*` is met as `EndCode0xC0A1`. Where the cure is "–" it passes by itself.

**What never helps**: restarting a collector because its device or its database does not answer. It keeps trying by
itself, and what it has read waits on disk.
""",
    "zh": """\
# 出现红色时怎么办

从状况到原因再到处理办法。daq 给出的每个原因都是一个英文单词，在 `daq status`、实时页面、事件和 JSON 中
完全相同。先看这些：

```console
$ daq status --lang zh    # 最严重的排在最前，附原因和处理办法
$ daq events              # 按顺序列出发生过的事
$ daq doctor --offline
```

然后查看出问题的采集器的日志 `daq logs NAME`，以及设备的读数 `daq read NAME`。`*` 代表单词的其余部分：
`EndCode*` 实际显示为 `EndCode0xC0A1` 之类。处理办法为“–”的会自行恢复。

**重启没有用的情况**：设备或数据库没有应答时不必重启采集器。它会自己不断重试，已读到的数据保存在磁盘上。
""",
}
COLUMNS: Mapping[Language, tuple[str, str, str]] = {
    "en": ("reason", "cause", "cure"),
    "zh": ("原因代码", "含义", "处理办法"),
}
FOOT: Mapping[Language, str] = {
    "en": "Made from `reconciler/reasons.json` by `make docs`.\n",
    "zh": "本页由 `make docs` 根据 `reconciler/reasons.json` 生成。\n",
}
FILES: Mapping[Language, Path] = {
    "en": TOP / "docs" / "when-something-is-red.md",
    "zh": TOP / "docs" / "when-something-is-red.zh-CN.md",
}


def when_red(language: Language) -> str:
    """The whole document in one language."""
    parts = [HEADS[language]]
    for group, reasons in GROUPS.items():
        title, where = TITLES[language][group]
        rows = [row(reason, language) for reason in reasons.split()]
        columns = " | ".join(COLUMNS[language])
        parts.append(
            "\n".join([f"## {title}", "", where, "", f"| {columns} |", "| --- | --- | --- |", *rows, ""])
        )
    return "\n".join([*parts, FOOT[language]])


def row(reason: str, language: Language) -> str:
    """One reason as a row of its table."""
    short, means, todo = (text.replace("|", "\\|") for text in explain(reason, language))
    return f"| **`{reason}`** {short} | {means} | {todo or '–'} |"


def main() -> int:
    stale = [
        lang for lang, file in FILES.items() if not file.exists() or file.read_text("utf-8") != when_red(lang)
    ]
    for language in stale:
        if "--check" in sys.argv:
            print(
                f"{FILES[language].relative_to(TOP)} is not what reasons.json says; run `make docs`",
                file=sys.stderr,
            )
        else:
            FILES[language].write_text(when_red(language), "utf-8")
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
