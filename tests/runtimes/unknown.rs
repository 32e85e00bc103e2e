//! Raylets of which the runtime that the settings name does not tell.

use std::fs;

use crate::{
    bare::Running,
    containers::docker_ready,
    podman::Pod,
    stand_in::{self, DEAD_GONE, beginning, plant, raylet, seen_by, sweep_all, text},
    sweeping::Settings,
    world,
};

#[test]
fn a_raylet_in_mounts_of_its_own_loses_dead_sessions_only() {
    let (private, program) = (world::dir().join("private-tmp"), world::dir().join("service/raylet"));
    fs::create_dir_all(&private).unwrap();
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy(stand_in::program(), &program).unwrap();
    // As systemd does it for a service with a /tmp of its own.
    let script = format!("mount --bind {} /tmp && exec \"$@\"", text(&private));
    let mut command: Vec<String> =
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"]
            .map(str::to_owned)
            .into();
    command.extend(raylet(text(&program), "/tmp/ray"));
    let service = Running::start(&command, text(&program));
    let [planted] = plant([&seen_by(&service.0.id().to_string(), "/tmp")]);

    let swept = sweep_all(&Settings { socket: "/nonexistent/docker.sock".into(), ..stand_in::settings() });

    assert_eq!(planted.standing(), DEAD_GONE, "{}", swept.shown());
    assert_eq!(beginning(&swept, "mounts-").runtime, "unknown", "{}", swept.shown());
}

#[test]
fn a_container_of_another_runtime_loses_dead_sessions_only() {
    docker_ready();
    let pod = Pod::with_raylet("elsewhere", &[]);
    let [planted] = plant([&pod.tmp()]);

    let swept = sweep_all(&stand_in::settings());

    assert_eq!(planted.standing(), DEAD_GONE, "{}", swept.shown());
    assert_eq!(beginning(&swept, "container-").runtime, "unknown", "{}", swept.shown());
}
