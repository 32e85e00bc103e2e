"""A job of two steps. The first leaves a file in a temporary folder and returns its path;
between the steps nothing but the driver, on another node, remembers the name; the second
reads the file again and prints what it holds.

Usage: WORKER; the driver's own file name is the id of the job.
"""

import os
import pathlib
import sys
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

GCS = "127.0.0.1:6379"
BOUND_SECONDS = 300


@ray.remote(num_cpus=0, max_retries=0)
def leave_a_file(job: str) -> str:
    import os
    import pathlib
    import tempfile

    path = pathlib.Path(tempfile.mkdtemp()) / "between-the-steps"
    path.write_text(f"left by step 1 of {job}\n")
    note = pathlib.Path(f"/root/standing-{job}")
    note.with_suffix(".new").write_text(str(path.parent))
    os.rename(note.with_suffix(".new"), note)
    return str(path)


@ray.remote(num_cpus=0, max_retries=0)
def read_it_again(path: str) -> str:
    import pathlib

    return pathlib.Path(path).read_text()


def main() -> None:
    worker = sys.argv[1]
    job = pathlib.Path(sys.argv[0]).stem
    ray.init(address=GCS, log_to_driver=False, logging_level="error")
    node = next(n["NodeID"] for n in ray.nodes() if n["NodeName"] == worker and n["Alive"])
    pinned = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    path = ray.get(leave_a_file.options(scheduling_strategy=pinned).remote(job))
    deadline = time.monotonic() + BOUND_SECONDS
    while not os.path.exists(f"/root/release-{job}"):
        if time.monotonic() > deadline:
            sys.exit(f"nobody released {job}")
        time.sleep(0.2)
    print(ray.get(read_it_again.options(scheduling_strategy=pinned).remote(path)), end="")


main()
