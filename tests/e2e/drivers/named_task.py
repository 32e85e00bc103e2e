"""A job whose one task goes by a name of the caller's choice, holds a temporary folder by
its name alone, and sleeps.

Usage: WORKER NAME; the driver's own file name is the id of the job.
"""

import pathlib
import sys

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

GCS = "127.0.0.1:6379"
BOUND_SECONDS = 300


@ray.remote(num_cpus=0, max_retries=0)
def hold_folder(job: str) -> str:
    import os
    import pathlib
    import tempfile
    import time

    path = pathlib.Path(tempfile.mkdtemp()) / "state"
    path.write_text(f"state of {job}\n")
    note = pathlib.Path(f"/root/standing-{job}")
    note.with_suffix(".new").write_text(str(path.parent))
    os.rename(note.with_suffix(".new"), note)
    deadline = time.monotonic() + BOUND_SECONDS
    while not os.path.exists(f"/root/release-{job}"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody released {job}")
        time.sleep(0.2)
    return path.read_text()


def main() -> None:
    worker, name = sys.argv[1:]
    job = pathlib.Path(sys.argv[0]).stem
    ray.init(address=GCS, log_to_driver=False, logging_level="error")
    node = next(n["NodeID"] for n in ray.nodes() if n["NodeName"] == worker and n["Alive"])
    pinned = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    print(ray.get(hold_folder.options(name=name, scheduling_strategy=pinned).remote(job)), end="")


main()
