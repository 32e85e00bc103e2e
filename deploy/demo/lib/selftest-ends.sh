# shellcheck shell=bash
# The self-test's second half: a world with a daemon and a running container in it ends
# in every way there is, and nothing of it is left on the machine.

readonly GONE_WITHIN=30

# Called inside: what the machine must not know of any more afterwards.
note_world() {
    printf '%s\n' "$WORLD_DIR" "$WORLD_ID" "$(readlink /proc/self/ns/pid)" >"$1.new"
    mv "$1.new" "$1"
}

# left_of TRACE: names each thing that is left; prints nothing when all is gone.
left_of() {
    local dir id ns file
    { read -r dir && read -r id && read -r ns; } <"$1" || {
        echo "no trace of a world in $1"
        return
    }
    find /proc/[0-9]*/ns/pid -maxdepth 0 -lname "$ns" -printf 'process %p\n' 2>/dev/null || true
    # A container has a PID namespace of its own.
    grep -lF "$id" /proc/[0-9]*/cgroup 2>/dev/null | sed 's/^/process of a container /' || true
    grep -lF "$dir" /proc/[0-9]*/mountinfo 2>/dev/null | sed 's/^/mount seen by /' || true
    for file in /sys/block/loop*/loop/backing_file; do
        ! grep -qsF "$dir" "$file" || echo "loop device $file"
    done
    find /sys/fs/cgroup -maxdepth 3 -name "$id" -printf 'cgroup %p\n'
    [[ ! -e $dir ]] || echo "folder $dir"
    ! getent passwd selftest >/dev/null || echo "user selftest on the machine"
}

nothing_left() {
    [[ -z $(left_of "$1") ]]
}

assert_nothing_left() {
    nothing_left "$1" || fail "left: $(left_of "$1" | head -n 20)"
}

# inside_ends TRACE END: a world with a container; END is `hold` or an exit code.
inside_ends() {
    # shellcheck source=deploy/demo/lib.sh
    source "$HERE/lib.sh"
    dockerd_up
    ray_image_load
    docker run -d --name sleeper "$RAY_IMAGE" sleep infinity >/dev/null
    host_up alpha 2201
    on_host alpha useradd selftest
    note_world "$1"
    [[ $2 == hold ]] || exit "$2"
    # Until the test ends it; bounded, should the test itself be killed.
    sleep 120
}

run_ends() {
    local dir
    dir=$(mktemp -d)
    check_exit_code "$dir/code"
    check_signal "$dir/term" TERM
    check_signal "$dir/kill" KILL
    check_interrupt "$dir/int"
    check_two_at_once "$dir/first" "$dir/second"
    trap - EXIT
    rm -rf "$dir"
}

check_exit_code() {
    local code=0
    "$HERE/world.sh" "$SELF" --inside-ends "$1" 42 || code=$?
    ((code == 42)) || fail "exit code $code instead of 42"
    assert_nothing_left "$1"
    echo "ok: the exit code is the command's, nothing is left"
}

await() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || fail "$what"
        sleep 0.1
    done
}

# Started by itself, so that its pid is at hand; setsid, so that a signal to its group
# is one to the whole world, as Ctrl-C is; env, because a script's background commands
# are born deaf to it.
start_world() {
    setsid env --default-signal=INT,QUIT "$HERE/world.sh" "$SELF" --inside-ends "$1" hold &
    world=$!
    # A failed check must not leave its world to run out by itself.
    trap 'kill -s KILL "$world" 2>/dev/null' EXIT
    await 60 "the world did not come up" test -e "$1"
    [[ -n $(left_of "$1") ]] || fail "left_of sees nothing of a world that lives"
}

check_signal() {
    local trace=$1 signal=$2 world start=0
    start_world "$trace"
    start=$EPOCHREALTIME
    kill -s "$signal" "$world"
    wait "$world" 2>/dev/null || true
    await "$GONE_WITHIN" "after SIG$signal left: $(left_of "$trace")" nothing_left "$trace"
    awk -v a="$start" -v b="$EPOCHREALTIME" -v s="$signal" \
        'BEGIN { printf "ok: SIG%s to the script: nothing is left after %.1f s\n", s, b - a }'
}

check_interrupt() {
    local trace=$1 world code=0
    start_world "$trace"
    kill -s INT -- "-$world"
    wait "$world" || code=$?
    ((code == 130)) || fail "Ctrl-C ended with $code instead of 130"
    assert_nothing_left "$trace"
    echo "ok: SIGINT to the group: exit code 130, nothing is left"
}

check_two_at_once() {
    local world first
    start_world "$1"
    first=$world
    start_world "$2"
    trap 'kill -s KILL "$first" "$world" 2>/dev/null' EXIT
    kill -s KILL "$first"
    wait "$first" 2>/dev/null || true
    await "$GONE_WITHIN" "the first world's remains: $(left_of "$1")" nothing_left "$1"
    [[ $(left_of "$2") == *'process of a container'* ]] || fail "the second world lost its container"
    kill -s KILL "$world"
    wait "$world" 2>/dev/null || true
    await "$GONE_WITHIN" "the second world's remains: $(left_of "$2")" nothing_left "$2"
    echo "ok: two worlds at once, and the end of one leaves the other alone"
}
