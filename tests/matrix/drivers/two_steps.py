# Step 1 leaves a file and returns its path, step 2 reads it; in between the driver alone, on
# another node, knows the name. ARG `no_pool`: the process of step 1 ends with it.
@ray.remote(max_retries=0)
def step_1():
    folder = folder_with_state()
    standing(folder)
    return folder / "state"


@ray.remote(max_retries=0)
def step_2(path):
    return path.read_text()


pinned = connect()
calls = {"max_calls": 1} if "no_pool" in sys.argv else {}
first = ray.remote(max_retries=0, **calls)(step_1._function)
path = ray.get(first.options(**pinned).remote())
wait_until(released, "nobody released the driver")
print(ray.get(step_2.options(**pinned).remote(path)), end="")
