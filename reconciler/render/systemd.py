"""A systemd unit for the loop.

The loop may end and start at any time while collectors run on, so a restart of the service must leave them alone:
``KillMode=process``. A hardened unit puts them into its own mount namespace, which is why the state directory is the
only place they may write to.
"""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename, dirname

UNIT = "daq.service"
ENVIRONMENT = "/etc/daq/environment"
"""NAME=value lines: what manifests name by ``{env: NAME}``, and options as ``DAQ_…``. It survives upgrades."""

_LEAVES = "daq (stopping this leaves collectors running; `daq down` stops them)"
_STOPS = "daq (stopping this stops all collectors)"


def unit(program: str, arguments: Sequence[str], state: str, *, stop_collectors: bool) -> dict[str, str]:
    """The unit by its file name.

    `program` is the absolute path of ``daq``; `arguments` follow ``daq run``; `state` is the state directory they name.
    """
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
        f"EnvironmentFile=-{ENVIRONMENT}",
        f"ExecStart={' '.join(map(_quoted, command))}",
        "ExecReload=kill -HUP $MAINPID",
        "Restart=always",
        "RestartSec=1",
        "# `daq down` ends the loop with 3: it was asked not to come back, which is no failure.",
        "RestartPreventExitStatus=3",
        "SuccessExitStatus=3",
        "WatchdogSec=60",
        *ending,
        "User=daq",
        "Group=daq",
        "UMask=0077",
        "LimitNOFILE=65536",
        *_directories(state),
        "",
        *_HARDENING,
        *(_ALONE if stop_collectors else _OUTLIVED),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return {UNIT: "\n".join(lines) + "\n"}


def _directories(state: str) -> list[str]:
    """Those that the service may write to: made by systemd below /var/lib and /var/log, or one that is there."""
    if dirname(state) != "/var/lib":
        return [
            "# systemd makes no directory there; before the first start: install -d -o daq -g daq -m 700",
            f"ReadWritePaths={_quoted(state)}",
        ]
    return [
        f"StateDirectory={_quoted(basename(state))}",
        "StateDirectoryMode=0700",
        f"LogsDirectory={_quoted(basename(state))}",
        "LogsDirectoryMode=0750",
        "# Logs lie in the state directory's logs/; the first start makes that a link to the LogsDirectory.",
        f"ExecStartPre=-ln -sT {_quoted(f'/var/log/{basename(state)}')} {_quoted(f'{state}/logs')}",
    ]


# What is left out would break it: PrivateUsers hides from a new loop what an earlier one started (user namespaces,
# ptrace(2)), ProcSubset hides the boot id, MemoryDenyWriteExecute ends exec programs that compile as they run,
# PrivateNetwork and IPAddressDeny keep it from its devices. setpriority is for `nice`.
_HARDENING = [
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "ProtectProc=invisible",
    "PrivateMounts=yes",
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
    "SystemCallFilter=setpriority",
    "SystemCallErrorNumber=EPERM",
]


_ALONE = ["PrivateTmp=yes", "RemoveIPC=yes"]
# Both would be taken from under the collectors when the service stops.
_OUTLIVED = ["ReadWritePaths=-/tmp -/var/tmp"]


def _quoted(word: str) -> str:
    """One word of ExecStart (systemd.service(5)): no specifier, no variable, no space is taken as such."""
    text = word.replace("%", "%%").replace("$", "$$")
    if text and not set(text) & set(" \t\"'\\;"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
