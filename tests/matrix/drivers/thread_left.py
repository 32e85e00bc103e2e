# A task leaves a thread running that holds a folder by its name; the task itself returns.
@ray.remote(max_retries=0)
def leave_a_thread():
    import threading

    folder = folder_with_state()
    result = pathlib.Path(f"/root/result-{JOB}")

    def go_on():
        wait_until(released, "nobody released the thread")
        try:
            text = (folder / "state").read_text()
        except OSError as error:
            text = repr(error)
        result.with_suffix(".new").write_text(text)
        os.rename(result.with_suffix(".new"), result)

    threading.Thread(target=go_on, daemon=True).start()
    return folder


@ray.remote(max_retries=0)
def say(folder):
    standing(folder)


@ray.remote(max_retries=0)
def result():
    path = pathlib.Path(f"/root/result-{JOB}")
    wait_until(path.exists, "the thread did not end")
    return path.read_text()


pinned = connect()
ray.get(say.options(**pinned).remote(ray.get(leave_a_thread.options(**pinned).remote())))
wait_until(released, "nobody released the driver")
print(ray.get(result.options(**pinned).remote()), end="")
