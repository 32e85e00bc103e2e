"""What every driver of the matrix begins with: this text stands before each of them.

A work makes something in the temporary folder, says so in a note (`standing`), waits to be let
go (`released`), and needs what it made once more. Usage: WORKER [ARG…]; the driver's own file
name is the id of the job.
"""

import os
import pathlib
import sys
import tempfile
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

JOB = pathlib.Path(sys.argv[0]).stem
WORKER = sys.argv[1]
BOUND_SECONDS = 600


def standing(path) -> None:
    # Renamed into place, so that whoever sees the note can read it whole.
    note = pathlib.Path(f"/root/standing-{JOB}")
    note.with_suffix(".new").write_text(str(path))
    os.rename(note.with_suffix(".new"), note)


def released() -> bool:
    return os.path.exists(f"/root/release-{JOB}")


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{JOB}: {what}")
        time.sleep(0.2)


def folder_with_state(prefix: str = "tmp") -> pathlib.Path:
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    (folder / "state").write_text(f"state of {JOB}")
    return folder


def connect(address: str = "127.0.0.1:6379", **options) -> dict:
    """Connects, and gives the options of a task or actor on the worker."""
    ray.init(address=address, log_to_driver=False, logging_level="error", **options)
    node = next(n["NodeID"] for n in ray.nodes() if n["NodeName"] == WORKER and n["Alive"])
    pinned = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return {"num_cpus": 0, "scheduling_strategy": pinned}


