"""Stand-ins for systemctl and journalctl: one unit, which runs as soon as it is started."""

from __future__ import annotations

from pathlib import Path

SYSTEMCTL = """#!/bin/sh
state={folder}/unit
case " $* " in
*" show "*)
    since=0; [ ! -e "$state" ] || since=$(cat "$state")
    active=inactive; [ ! -e "$state" ] || active=active
    file=disabled; [ ! -e "$state.enabled" ] || file=enabled
    printf '%s\\n' LoadState=loaded ActiveState=$active SubState=running Result=success UnitFileState=$file \\
        NeedDaemonReload=no MainPID=1 NRestarts=0 Job= ExecMainStartTimestampMonotonic=$since ;;
*" start "* | *" restart "*) read -r up _ < /proc/uptime; echo "${{up%.*}}${{up#*.}}0000" > "$state" ;;
*" stop "*) rm -f "$state" ;;
*" enable "*) touch "$state.enabled" ;;
*" disable "*) rm -f "$state.enabled" ;;
esac
"""


def install(folder: Path) -> Path:
    """Write the stand-ins into a folder, which goes first on PATH, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"systemctl": SYSTEMCTL.format(folder=folder), "journalctl": "#!/bin/sh\n"}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder
