"""Makes 65 MiB of its memory its arguments, of which it has touched one byte: NULs but for that.

Anybody may do that. `/proc/PID/cmdline` gives all of it."""

import ctypes
import mmap
import pathlib
import time

PR_SET_MM, PR_SET_MM_MAP = 35, 14
SIZE = 65 << 20

memory = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
# A title that has overwritten the last NUL would be read to its first one.
memory[SIZE - 2] = 1
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None, use_errno=True)
libc.sbrk.restype = ctypes.c_void_p
# As `man 5 proc` counts them, from the third on.
stat = pathlib.Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
own = {number: int(stat[number - 3]) for number in (26, 27, 28, 45, 46, 47, 50, 51)}
# Code, data, the heap, the stack, arguments, environment; no auxiliary vector, and no other program.
addresses = [own[26], own[27], own[45], own[46], own[47], libc.sbrk(0), own[28]]
addresses += [start, start + SIZE, own[50], own[51], 0]
layout = (ctypes.c_uint64 * 13)(*addresses, 0xFFFFFFFF << 32)
if libc.prctl(PR_SET_MM, PR_SET_MM_MAP, ctypes.byref(layout), ctypes.c_ulong(104), 0):
    raise OSError(ctypes.get_errno(), "prctl")
pathlib.Path("/var/tmp/endless").write_text("", encoding="utf-8")
time.sleep(7200)
