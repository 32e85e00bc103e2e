import signal, sys
signal.alarm(int(sys.argv[2]))
import json
from ray._raylet import GcsClient
jobs = []
for job in GcsClient(address=sys.argv[1]).get_all_job_info().values():
    if not job.is_dead:
        where = job.driver_address.ip_address or job.driver_ip_address
        jobs.append({
            "id": job.job_id.hex(),
            "start_ms": int(job.start_time or job.timestamp),
            "driver": "%s pid %d" % (where, job.driver_pid),
        })
print("raysweep-live-jobs " + json.dumps(jobs), flush=True)
