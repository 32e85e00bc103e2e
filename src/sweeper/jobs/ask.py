import signal, sys
signal.alarm(int(sys.argv[2]))
import json
from ray._raylet import GcsClient, GcsClientOptions, GlobalStateAccessor
from ray.core.generated.gcs_pb2 import ActorTableData
address = sys.argv[1]
known = GcsClient(address=address).get_all_job_info()
jobs = {}
started = {}
for job in known.values():
    where = job.driver_address.ip_address or job.driver_ip_address
    started[job.job_id] = int(job.start_time or job.timestamp)
    if not job.is_dead:
        jobs[job.job_id] = "driver %s pid %d" % (where, job.driver_pid)
# A detached actor outlives its job and may remember what the job left. A path that it knows may be as
# old as the job, and where nobody knows how old that is, as old as anything.
options = GcsClientOptions.create(address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False)
accessor = GlobalStateAccessor(options)
if not accessor.connect():
    sys.exit("the GCS does not say which actors are alive")
for record in accessor.get_actor_table(None, None):
    actor = ActorTableData.FromString(record)
    if actor.state != ActorTableData.DEAD and actor.job_id not in jobs:
        where = actor.address.ip_address or "a node that is not chosen yet"
        jobs[actor.job_id] = "actor %s on %s, whose driver is dead" % (actor.class_name[:80], where)
jobs = [
    {"id": id.hex(), "start_ms": started.get(id, 0), "held_by": held_by}
    for id, held_by in jobs.items()
]
print("raysweep-live-jobs " + json.dumps(jobs), flush=True)
