# A driver in the worker's own container, without any task; it holds a folder by name.
# ARG: the address of the GCS.
connect(sys.argv[2])
folder = folder_with_state()
standing(folder)
wait_until(released, "nobody released the driver")
print((folder / "state").read_text(), end="")
