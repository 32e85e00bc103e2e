# A running task that sleeps and holds a folder by its name alone. ARG: the task's own name.
@ray.remote(max_retries=0)
def hold_folder():
    folder = folder_with_state()
    standing(folder)
    wait_until(released, "nobody released the task")
    return (folder / "state").read_text()


name = sys.argv[2] if len(sys.argv) > 2 else "hold_folder"
print(ray.get(hold_folder.options(**connect(), name=name).remote()), end="")
