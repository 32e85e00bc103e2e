# An async actor with a call in flight, after a short one has returned.
@ray.remote(max_restarts=0)
class Keeper:
    def __init__(self):
        self.folder = folder_with_state()

    async def short(self):
        return "returned"

    async def long(self):
        import asyncio

        standing(self.folder)
        deadline = time.monotonic() + BOUND_SECONDS
        while not released() and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        return (self.folder / "state").read_text()


keeper = Keeper.options(**connect()).remote()
long = keeper.long.remote()
assert ray.get(keeper.short.remote()) == "returned"
print(ray.get(long), end="")
