"""A systemd unit for the loop.

The loop may end and start at any time while collectors run on, so a restart of the service must leave them alone:
``KillMode=process``. A hardened unit puts them into its own mount namespace, which is why the state directory is the
only place they may write to.
"""

from __future__ import annotations

from collections.abc import Sequence

UNIT = "daq.service"

_LEAVES = "daq (stopping this leaves collectors running; `daq down` stops them)"
_STOPS = "daq (stopping this stops all collectors)"


def unit(program: str, arguments: Sequence[str], *, stop_collectors: bool) -> dict[str, str]:
    """The unit by its file name. `program` is the absolute path of ``daq``; `arguments` follow ``daq run``."""
    command = [program, "run", *arguments, *(["--stop-on-exit"] if stop_collectors else [])]
    # Asked by SIGTERM the loop stops its collectors itself; what is left after the time-out is killed.
    ending = (
        ["KillMode=mixed", "TimeoutStopSec=120"]
        if stop_collectors
        else ["KillMode=process", "TimeoutStopSec=30"]
    )
    lines = [
        "[Unit]",
        f"Description={_STOPS if stop_collectors else _LEAVES}",
        "Wants=network-online.target",
        "After=network-online.target time-sync.target",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={' '.join(map(_quoted, command))}",
        "ExecReload=kill -HUP $MAINPID",
        "Restart=always",
        "RestartSec=1",
        "# `daq down` ends the loop with 3: it was asked not to come back.",
        "RestartPreventExitStatus=3",
        "WatchdogSec=60",
        *ending,
        "User=daq",
        "Group=daq",
        "UMask=0077",
        "LimitNOFILE=65536",
        "StateDirectory=daq",
        "StateDirectoryMode=0700",
        "LogsDirectory=daq",
        "LogsDirectoryMode=0750",
        "# Logs lie in the state directory's logs/; the first start makes that a link to the LogsDirectory.",
        "ExecStartPre=-ln -sT /var/log/daq /var/lib/daq/logs",
        "",
        *_HARDENING,
        *(_ALONE if stop_collectors else _OUTLIVED),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return {UNIT: "\n".join(lines) + "\n"}


# What is left out would break it: ProtectProc and PrivatePIDs hide the holder of a lock, MemoryDenyWriteExecute breaks
# foreign function calls of drivers, PrivateNetwork and IPAddressDeny keep it from its devices.
_HARDENING = [
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallFilter=setpriority sched_setscheduler",
    "SystemCallErrorNumber=EPERM",
]


_ALONE = ["PrivateTmp=yes", "RemoveIPC=yes"]
# Both would be taken from under the collectors when the service stops.
_OUTLIVED = ["ReadWritePaths=/tmp /var/tmp"]


def _quoted(word: str) -> str:
    """One word of ExecStart (systemd.service(5)): no specifier, no variable, no space is taken as such."""
    text = word.replace("%", "%%").replace("$", "$$")
    if text and not set(text) & set(" \t\"'\\;"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
