"""A job whose task holds a temporary folder by nothing but its name, and sleeps.

The case in which a low CPU acquits nobody: no open file, no lock, no working folder
says that the folder is needed, and the task dies if it goes.
Usage: GCS WORKER [NAME]; the driver's own file name is the id of the job, and NAME is what
the task calls itself.
"""

import pathlib
import sys

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

BOUND_SECONDS = 900


@ray.remote(num_cpus=0, max_retries=0)
def hold_folder(job: str) -> str:
    import os
    import pathlib
    import tempfile
    import time

    path = pathlib.Path(tempfile.mkdtemp()) / "checkpoint"
    path.write_text(f"state of {job}\n")
    # Renamed into place, so that whoever sees the note can read it whole.
    note = pathlib.Path(f"/root/sleeping-{job}")
    note.with_suffix(".new").write_text(str(path.parent))
    os.rename(note.with_suffix(".new"), note)
    deadline = time.monotonic() + BOUND_SECONDS
    while not os.path.exists(f"/root/release-{job}"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody released {job}")
        time.sleep(0.5)
    return path.read_text()


def main() -> None:
    gcs, worker, *name = sys.argv[1:]
    job = pathlib.Path(sys.argv[0]).stem
    ray.init(address=gcs, log_to_driver=False, logging_level="error")
    node = next(n["NodeID"] for n in ray.nodes() if n["NodeName"] == worker and n["Alive"])
    options = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node_id=node, soft=False)}
    if name:
        options["name"] = name[0]
    print(ray.get(hold_folder.options(**options).remote(job)), end="")


main()
