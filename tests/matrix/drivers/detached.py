# A task leaves a folder, and a detached actor on the head remembers it by name. Then the driver
# ends: no job is alive, and somebody may still ask for the folder.
@ray.remote(max_retries=0, max_calls=1)
def leave():
    return folder_with_state()


@ray.remote(max_restarts=0)
class Memory:
    def remember(self, folder):
        self.folder = folder

    def recall(self):
        return self.folder


@ray.remote(max_retries=0, max_calls=1)
def stand(folder):
    standing(folder)


pinned = connect(namespace="matrix")
head = next(n["NodeID"] for n in ray.nodes() if n["NodeName"] == "ray-head" and n["Alive"])
beside_us = NodeAffinitySchedulingStrategy(node_id=head, soft=False)
memory = Memory.options(
    name=JOB, lifetime="detached", num_cpus=0, scheduling_strategy=beside_us
).remote()
folder = ray.get(leave.options(**pinned).remote())
ray.get(memory.remember.remote(folder))
ray.get(stand.options(**pinned).remote(folder))
