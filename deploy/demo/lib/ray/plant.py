"""Plants leftovers of one kind in the temporary folder. Usage: KIND BYTES COUNT

Each is a folder as the program that leaves it names it: one large file, allocated and
not written, and some small ones in a subfolder. Prints the paths.
"""

import os
import pathlib
import sys
import tempfile

PREFIXES = {"ray_tmp": "ray_tmp_", "pip": "pip-", "tmp": "tmp"}
SMALL_FILES = 20


def plant(prefix: str, size: int) -> str:
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    (folder / "part").mkdir()
    for number in range(SMALL_FILES):
        (folder / "part" / f"file-{number}.py").write_text(f"NUMBER = {number}\n")
    with open(folder / "data.bin", "wb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)
    return str(folder)


def main() -> None:
    kind, size, count = sys.argv[1].rstrip("*_-"), int(sys.argv[2]), int(sys.argv[3])
    if kind not in PREFIXES:
        sys.exit(f"unknown kind {sys.argv[1]!r}: one of {', '.join(PREFIXES)}")
    for _ in range(count):
        print(plant(PREFIXES[kind], size // count))


main()
