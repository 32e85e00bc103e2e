# An idle actor that imports and reads from the working_dir of its runtime_env when it is called.
source = pathlib.Path(tempfile.mkdtemp(dir="/root"))
(source / "state").write_text(f"state of {JOB}")


@ray.remote(max_restarts=0)
class Reader:
    def begin(self):
        standing(os.getcwd())

    def state(self):
        return pathlib.Path("state").read_text()


reader = Reader.options(**connect(runtime_env={"working_dir": str(source)})).remote()
ray.get(reader.begin.remote())
wait_until(released, "nobody released the driver")
print(ray.get(reader.state.remote()), end="")
