"""A program beside Ray that holds something in the temporary folder. Usage: KIND ID

Says in /root/standing-ID what it holds, waits for /root/release-ID, needs it once more, and
leaves what came of it in /root/result-ID.
"""

import fcntl
import mmap
import os
import pathlib
import socket
import sys
import tempfile
import time

KIND, ID = sys.argv[1:]
BOUND_SECONDS = 600
STATE = f"state of {ID}"


def said(name: str, text: str) -> None:
    path = pathlib.Path(f"/root/{name}-{ID}")
    path.with_suffix(".new").write_text(text)
    os.rename(path.with_suffix(".new"), path)


def wait(busily: bool = False) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not os.path.exists(f"/root/release-{ID}"):
        if time.monotonic() > deadline:
            raise TimeoutError("nobody released it")
        until = time.monotonic() + 0.1
        while busily and time.monotonic() < until:
            pass
        time.sleep(0.1)


def still_there(folder: pathlib.Path) -> str:
    return (folder / "state").read_text()


def by_fd(folder):
    with open(folder / "state") as file:
        said("standing", str(folder))
        wait()
        assert file.read() == STATE
    return still_there(folder)


def by_map(folder):
    with open(folder / "state", "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
        # mmap keeps a copy of the descriptor; this one is closed below it.
        copies = [fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and is_of(fd, folder)]
    for fd in copies:
        try:
            os.close(fd)
        except OSError:  # The one that `with` has closed.
            pass
    assert not any(is_of(int(fd), folder) for fd in os.listdir("/proc/self/fd"))
    said("standing", str(folder))
    wait()
    assert mapped[:].decode() == STATE
    return still_there(folder)


def is_of(fd, folder):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith(str(folder))
    except OSError:
        return False


def by_cwd(folder):
    os.chdir(folder)
    said("standing", str(folder))
    wait()
    return pathlib.Path("state").read_text()


def by_socket(folder):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    server.listen()
    said("standing", str(folder))
    wait()
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(folder / "socket"))
    return still_there(folder)


def by_flock(folder):
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said("standing", str(folder))
        wait()
        assert os.stat(folder / "lock").st_ino == os.fstat(file.fileno()).st_ino
    return still_there(folder)


def by_name(folder, busily=False):
    said("standing", str(folder))
    wait(busily)
    return still_there(folder)


def by_gpu(folder):
    with open("/dev/nvidia0"):
        return by_name(folder)


def by_checkpoint_lock(folder):
    pathlib.Path(f"{folder}.del_lock_{os.getpid()}").touch()
    return by_name(folder)


HOLD = {
    "fd": by_fd,
    "map": by_map,
    "cwd": by_cwd,
    "socket": by_socket,
    "flock": by_flock,
    "name": by_name,
    "pymp": by_name,
    "gpu": by_gpu,
    "checkpoint": by_checkpoint_lock,
    "burn": lambda folder: by_name(folder, busily=True),
}
PREFIX = {"pymp": "pymp-", "checkpoint": "checkpoint_tmp_"}


def main() -> None:
    folder = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX.get(KIND, "tmp")))
    (folder / "state").write_text(STATE)
    try:
        said("result", HOLD[KIND](folder))
    except Exception as error:
        said("result", repr(error))


main()
