"""Somebody in a container who plays against a sweep, and who sets the stage for it.

    player.py PLAY          plays until /root/over is there; says what it did, as `name=number` words
    player.py forest PATH   9,000 empty files, in three levels of folders
    player.py TREE PATH…    other trees, below

It never has the name of a tree in its arguments: what a process names is in use.
"""

import array
import ctypes
import fcntl
import os
import socket
import stat
import sys
import time

SESSIONS = "/tmp/ray"
OUTSIDE = ["/victims", "/root/precious"]
ASIDE = "/root/aside"
MARK = 10 + 36
FOLDERS, FILES, LEVELS = 30, 100, ["", "/z", "/z/w"]

libc = ctypes.CDLL(None, use_errno=True)


def over():
    return os.path.exists("/root/over")


def detached(mark):
    """What a sweep has taken off its name: whole (`-`), or being deleted (`~`)."""
    found = []
    for session in listed(SESSIONS):
        for name in listed(f"{SESSIONS}/{session}"):
            if name.startswith(".raysweep-") and name[MARK:MARK + 1] == mark:
                found.append(f"{SESSIONS}/{session}/{name}")
    return found


def listed(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def stands(top):
    return os.path.lexists(top) and not over()


def begun():
    """Each tree that is being deleted, one after the other, until the play is over."""
    while not over():
        for top in detached("~"):
            yield top
        # Each look holds the folder open for a moment, and what is open is in use.
        time.sleep(0.002)


def place(number):
    """A folder of a forest, at another depth each time."""
    return f"/y{number * 7 % FOLDERS}{LEVELS[number % len(LEVELS)]}"


def quietly(call, *arguments):
    try:
        call(*arguments)
        return True
    except OSError:
        return False


def symlinks():
    """An ancestor becomes a symlink to a folder outside that has files of the same names."""
    swaps = met = number = 0
    for top in begun():
        before = swaps
        while stands(top):
            number += 1
            # The top itself as well, now and then.
            below = "" if number % 50 == 0 else place(number)
            if not quietly(os.rename, top + below, ASIDE):
                continue
            swaps += quietly(os.symlink, OUTSIDE[number // 2 % 2] + below, top + below)
            quietly(os.unlink, top + below)
            if not quietly(os.rename, ASIDE, top + below):
                os.rename(ASIDE, f"{ASIDE}.{number}")
        met += swaps > before
    print(f"swaps={swaps} met={met}")


def exchanges():
    """A folder changes places with one outside, in one call; and deep ones too, which a walk leaves by `..`."""
    swaps = met = number = 0
    at_cwd, exchange = -100, 2
    for top in begun():
        before = swaps
        while stands(top):
            number += 1
            inner = (top + place(number)).encode()
            if number % 3 == 0:
                inner = (top + "/chain" + "/d" * (number % 200)).encode()
            swaps += libc.renameat2(at_cwd, inner, at_cwd, b"/root/outside/decoy", exchange) == 0
        met += swaps > before
    print(f"swaps={swaps} met={met}")


def mounts():
    """A folder and a file of the host are mounted in the tree, and unmounted again."""
    mounted = met = lost = number = 0
    bind, detach = 4096, 2
    for top in begun():
        before = mounted
        while stands(top):
            number += 1
            source, target = OUTSIDE[0] + place(number), top + place(number)
            if number % 2 == 0:
                source, target = source + "/f0", f"{target}/f{FILES - 1 - number // 2 % FILES}"
            source, target = source.encode(), target.encode()
            if libc.mount(source, target, None, bind, None) == 0:
                mounted += 1
                # The sweep gets a moment to come across it.
                time.sleep(0.0005)
                # A tree that keeps a mount gets its name back, and the mount goes by another path then.
                gone = libc.umount2(target, detach) != 0 and not unmounted_elsewhere(detach)
                lost += gone
        met += mounted > before
    print(f"mounts={mounted} met={met} lost={lost}")


def unmounted_elsewhere(detach):
    """Unmounts what is mounted in a candidate, wherever that is now; says whether there was any."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mountinfo:
        points = [line.split(" ")[4] for line in mountinfo]
    points = [point for point in points if point.startswith(SESSIONS + "/")]
    return [libc.umount2(point.encode(), detach) for point in points].count(0) > 0


def grows():
    """A file grows, and new ones come, while their tree is deleted."""
    written = met = 0
    for top in begun():
        met += 1
        with open("/dev/null", "wb") as nothing:
            file = nothing
            while stands(top):
                try:
                    file = open(f"{top}/y{written % FOLDERS}/grown", "ab") if written % 64 == 0 else file
                    file.write(b"x" * 4096)
                    file.flush()
                    written += 1
                except OSError:
                    pass
    print(f"written={written} met={met}")


def reappears():
    """What was detached is opened, and its name is taken by something else."""
    taken, held = 0, []
    while not over():
        for path in detached("-"):
            folder, name = os.path.split(path)
            own = f"{folder}/{name[MARK + 1:]}"
            if os.path.lexists(own):
                continue
            # Who has it open keeps it: then it is to get its name back.
            if "held" in name:
                try:
                    held.append(os.open(path, os.O_RDONLY))
                except OSError:
                    continue
            taken += quietly(os.makedirs, own + "/anew")
        time.sleep(0.002)
    print(f"taken={taken} held={len(held)}")


def forest(top):
    for folder in range(FOLDERS):
        for level in LEVELS:
            path = f"{top}/y{folder}{level}"
            os.makedirs(path)
            for file in range(FILES):
                os.close(os.open(f"{path}/f{file}", os.O_CREAT | os.O_WRONLY))


def small(*tops):
    """1,200 empty files in each, in 30 folders."""
    for top in tops:
        for folder in range(30):
            os.makedirs(f"{top}/{folder}")
            for file in range(40):
                os.close(os.open(f"{top}/{folder}/f{file}", os.O_CREAT | os.O_WRONLY))


def chain(top, depth):
    """Folders in folders, deeper than a path can say."""
    os.makedirs(top, exist_ok=True)
    os.chdir(top)
    for _ in range(int(depth)):
        os.mkdir("d")
        os.chdir("d")
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY))


def flat(top, first, last):
    """Files in one folder, numbered."""
    os.makedirs(top, exist_ok=True)
    folder = os.open(top, os.O_RDONLY)
    for file in range(int(first), int(last)):
        os.close(os.open(f"f{file}", os.O_CREAT | os.O_WRONLY, dir_fd=folder))


def odd(top):
    """Everything that is no plain file with a plain name."""
    os.makedirs(top)
    os.mkfifo(f"{top}/fifo")
    os.mknod(f"{top}/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(f"{top}/disk", 0o600 | stat.S_IFBLK, os.makedev(254, 0))
    left = socket.socket(socket.AF_UNIX)
    left.bind(f"{top}/left")
    for name in [b"n" * 255, b"\xff\xfe not text", b"two\nlines\n", b" ", b"-rf", b"\x01\x1b[2J", b"*"]:
        os.makedirs(os.path.join(top.encode(), b"in " + name[:200], name))
        os.close(os.open(os.path.join(top.encode(), name), os.O_CREAT | os.O_WRONLY))
    for target in ["/victims", "/root/precious/y0", "../../..", "/proc/1/root", "/proc/self/fd/0", "loop"]:
        os.symlink(target, f"{top}/to {target.replace('/', '_')}")
    os.symlink("loop", f"{top}/loop")
    os.link("/root/linked", f"{top}/hard")
    os.chmod(top, 0)


def immutable(path, on):
    """What `chattr` does; the image has none."""
    file = os.open(path, os.O_RDONLY)
    flags = array.array("l", [0])
    fcntl.ioctl(file, 0x80086601, flags)
    flags[0] = flags[0] | 0x10 if on == "on" else flags[0] & ~0x10
    fcntl.ioctl(file, 0x40086602, flags)


def main():
    _, what, *arguments = sys.argv
    if what in PLAYS:
        os.close(os.open("/root/playing", os.O_CREAT | os.O_WRONLY))
    {**PLAYS, **TREES}[what](*arguments)


PLAYS = {play.__name__: play for play in [symlinks, exchanges, mounts, grows, reappears]}
TREES = {tree.__name__: tree for tree in [forest, small, chain, flat, odd, immutable]}

main()
