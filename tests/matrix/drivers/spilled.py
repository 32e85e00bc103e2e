# Objects that do not fit into the store, so that Ray has spilled some: their only copy.
SIZE, COUNT = 16 * 1024 * 1024, 10


@ray.remote(max_retries=0)
def make(number):
    return bytes([number]) * SIZE


@ray.remote(max_retries=0)
def say():
    def folders():
        found = pathlib.Path("/tmp/ray/session_latest").resolve().glob("ray_spilled_objects*")
        return [folder for folder in found if any(folder.iterdir())]

    wait_until(folders, "Ray has spilled nothing")
    standing(folders()[0])


@ray.remote(max_retries=0)
def is_whole(number, value):
    return len(value) == SIZE and value[0] == value[-1] == number


pinned = connect()
references = [make.options(**pinned).remote(number) for number in range(COUNT)]
ray.wait(references, num_returns=COUNT, fetch_local=False)
ray.get(say.options(**pinned).remote())
wait_until(released, "nobody released the driver")
whole = all(ray.get(is_whole.options(**pinned).remote(n, r)) for n, r in enumerate(references))
print(f"state of {JOB}" if whole else "an object is not what it was", end="")
