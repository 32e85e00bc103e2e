# A task on each of these workers, to show that Ray is whole: it comes back with the worker's name.
import socket

WORKERS = sys.argv[1:]
connect()


@ray.remote(num_cpus=0, max_retries=0)
def where():
    return socket.gethostname()


nodes = {n["NodeName"]: n["NodeID"] for n in ray.nodes() if n["Alive"]}
pins = [NodeAffinitySchedulingStrategy(node_id=nodes[name], soft=False) for name in WORKERS]
came_back = ray.get([where.options(scheduling_strategy=pin).remote() for pin in pins], timeout=120)
print(" ".join(came_back), end="")
