# An async actor whose one short call has returned: alive, and nothing in flight.
@ray.remote(max_restarts=0)
class Keeper:
    async def begin(self):
        self.folder = folder_with_state()
        standing(self.folder)

    async def state(self):
        return (self.folder / "state").read_text()


keeper = Keeper.options(**connect()).remote()
ray.get(keeper.begin.remote())
wait_until(released, "nobody released the driver")
print(ray.get(keeper.state.remote()), end="")
