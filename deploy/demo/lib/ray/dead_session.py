"""Makes a dead Ray session beside the live one. Usage: BYTES

A second Ray, with ports of its own, really starts, writes its session, and is killed
as a crash would. Prints the session's name.
"""

import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray"
# What `ray start` points at the newest session; the live one's is put back.
LATEST = ROOT / "session_latest"
CURRENT = ROOT / "ray_current_cluster"
PR_SET_CHILD_SUBREAPER = 36


def sessions() -> set[pathlib.Path]:
    return {path for path in ROOT.glob("session_*") if not path.is_symlink()}


def start_ray() -> pathlib.Path:
    before = sessions()
    started = subprocess.run(
        ["ray", "start", "--head", "--port=6390", "--num-cpus=0",
         "--include-dashboard=false", "--disable-usage-stats",
         "--object-store-memory=80000000",
         "--dashboard-agent-listen-port=52390", "--dashboard-agent-grpc-port=52391",
         "--node-name=short-lived"],
        timeout=90, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if started.returncode:
        sys.exit(f"the second Ray did not start:\n{started.stdout}")
    (session,) = sessions() - before
    return session


def pids_of(session: pathlib.Path) -> list[int]:
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and session.name in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except OSError:  # It ended meanwhile.
            pass
    return found


def kill(session: pathlib.Path) -> None:
    deadline = time.monotonic() + 30
    while pids := pids_of(session):
        if time.monotonic() > deadline:
            sys.exit(f"still alive after 30 s: {pids}")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def reap() -> None:
    """Without this the killed daemons would stay as zombies below the entrypoint."""
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass


def spill(session: pathlib.Path, size: int) -> None:
    """Named as Ray names them: a folder with the node's id, a file for fused objects."""
    folder = session / f"ray_spilled_objects_{os.urandom(28).hex()}"
    folder.mkdir()
    with open(folder / f"{uuid.uuid4().hex}-multi-8", "wb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)


def main() -> None:
    size = int(sys.argv[1])
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    latest = os.readlink(LATEST)
    current = CURRENT.read_bytes() if CURRENT.exists() else None
    session = start_ray()
    kill(session)
    reap()
    LATEST.unlink(missing_ok=True)
    LATEST.symlink_to(latest)
    if current is not None:
        CURRENT.write_bytes(current)
    spill(session, size)
    print(session.name)


main()
