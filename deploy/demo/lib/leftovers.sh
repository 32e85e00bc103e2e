# shellcheck shell=bash
# What Ray leaves behind in a container's temporary folder.

# ray_dead_session CONTAINER BYTES: a second Ray runs in the container for a moment and
# is killed; BYTES of spilled data are added to its session. Prints the session's name.
ray_dead_session() {
    ray_python "$1" dead_session "$2"
}

# plant CONTAINER KIND BYTES [COUNT]: COUNT leftovers of KIND (ray_tmp, pip or tmp, with
# or without `_*`, `-*` or `*`), BYTES in all. Prints their paths.
plant() {
    ray_python "$1" plant "$2" "$3" "${4:-1}"
}
