"""A task that holds a folder by nothing but its name, until it is let go on."""

import os
import pathlib
import tempfile
import time

import ray

NOTE, RELEASE = pathlib.Path("/root/standing"), pathlib.Path("/root/release")
BOUND = 300


@ray.remote
def read_again():
    file = pathlib.Path(tempfile.mkdtemp()) / "step"
    file.write_bytes(b"x" * 1_000_000)
    # Complete when it has its name.
    NOTE.with_suffix(".new").write_text(str(file))
    os.rename(NOTE.with_suffix(".new"), NOTE)
    deadline = time.monotonic() + BOUND
    while not RELEASE.exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody let it go on")
        time.sleep(0.1)
    return len(file.read_bytes())


ray.init(address="auto")
print("read again:", ray.get(read_again.remote()), flush=True)
