# An actor that is alive and idle, with its state in the temporary folder.
@ray.remote(max_restarts=0)
class Keeper:
    def __init__(self):
        self.folder = folder_with_state()

    def begin(self):
        standing(self.folder)

    def state(self):
        return (self.folder / "state").read_text()


keeper = Keeper.options(**connect()).remote()
ray.get(keeper.begin.remote())
wait_until(released, "nobody released the driver")
print(ray.get(keeper.state.remote()), end="")
