use std::os::unix::net::UnixListener;

use super::*;
use crate::sweeper::processes::fixture::{CONTAINER, host_init, namespaces, process, raylet, snapshot};

fn container(name: &str) -> Container {
    Container {
        id: CONTAINER.to_owned(),
        name: name.to_owned(),
        runtime: Runtime::Docker,
        pid: 10,
        environment: vec![],
        upper_layer: None,
        started_at: None,
    }
}

fn init() -> Process {
    process(10, 5, "/usr/bin/python3.11", &["ray", "start", "--block"])
}

fn assigned(processes: Vec<Process>, containers: &[Container], bare: Option<&Bare>) -> Discovery {
    let is_named = |name: &str| name.starts_with("ray-worker");
    assign(&snapshot(processes), containers, bare, &is_named, &|_| TempVariables::default())
}

fn names(discovery: &Discovery) -> Vec<(&str, &str)> {
    discovery.workers.iter().map(|worker| (worker.name.as_str(), worker.runtime.as_str())).collect()
}

#[test]
fn a_container_is_a_worker_by_its_name_or_by_the_raylet_in_it() {
    let named = assigned(vec![init()], &[container("ray-worker-1")], None);
    assert_eq!(names(&named), [("ray-worker-1", "docker")]);
    assert!(named.workers[0].raylets.is_empty());

    let by_raylet = assigned(vec![init(), raylet(20, 10)], &[container("trainer")], None);
    assert_eq!(names(&by_raylet), [("trainer", "docker")]);
    let worker = &by_raylet.workers[0];
    assert_eq!(worker.container.as_deref(), Some(CONTAINER));
    assert_eq!((worker.init.pid, worker.raylets[0].id.pid), (10, 20));

    assert!(names(&assigned(vec![init()], &[container("postgres")], None)).is_empty());
}

#[test]
fn a_raylet_is_known_by_its_program_and_its_arguments() {
    let real = Raylet::of(&raylet(20, 10)).unwrap();
    assert_eq!(real.gcs_address.as_deref(), Some("10.0.0.80:6379"), "not the one inside another argument");
    assert_eq!(real.python.as_deref(), Some("/usr/bin/python3"));
    assert_eq!(real.temp_dir, Some("/tmp/ray".into()));

    let mut other_program = raylet(20, 10);
    other_program.exe = Some("/usr/bin/python3.11".into());
    assert!(Raylet::of(&other_program).is_none());
    let mut other_arguments = raylet(20, 10);
    other_arguments.arguments = vec!["raylet".to_owned()];
    assert!(Raylet::of(&other_arguments).is_none());
    let mut replaced = raylet(20, 10);
    replaced.exe = Some("/usr/lib/ray/core/src/ray/raylet/raylet (deleted)".into());
    assert!(Raylet::of(&replaced).is_some(), "an upgraded package under a running raylet");
}

#[test]
fn a_python_whose_path_holds_spaces_is_quoted() {
    assert_eq!(first_word("\"/opt/my env/bin/python\" x.py").as_deref(), Some("/opt/my env/bin/python"));
    assert_eq!(first_word("/usr/bin/python3 x.py").as_deref(), Some("/usr/bin/python3"));
    assert_eq!(first_word(""), None);
    assert_eq!(first_word("\"/opt/unclosed"), None);
}

#[test]
fn a_rootless_container_is_refused() {
    let mut rootless = namespaces(1);
    rootless.user.ino += 1;
    let processes = vec![init().in_namespaces(rootless), raylet(20, 10).in_namespaces(rootless)];
    let discovery = assigned(processes.clone(), &[container("ray-worker-1")], None);
    assert!(discovery.workers.is_empty());
    assert!(discovery.refused[0].reason.contains("rootless"));

    // Of a rootless runtime of its own nobody tells us: the same.
    let discovery = assigned(processes, &[], None);
    assert!(discovery.workers.is_empty());
    assert!(discovery.refused[0].reason.contains("rootless"));
}

#[test]
fn a_process_that_is_not_the_containers_is_not_entered() {
    let elsewhere = init().in_cgroup("2:cpuacct:/user.slice\n");
    let discovery = assigned(vec![elsewhere], &[container("ray-worker-1")], None);
    assert!(discovery.workers.is_empty());
    assert!(discovery.refused[0].reason.contains("in no cgroup of this container"));

    let gone = assigned(vec![], &[container("ray-worker-1")], None);
    assert_eq!((gone.workers.len(), gone.refused.len()), (0, 1));
}

#[test]
fn a_container_that_shows_the_hosts_mounts_is_refused() {
    let mut shared = namespaces(1);
    shared.mount = namespaces(0).mount;
    let discovery = assigned(vec![init().in_namespaces(shared)], &[container("ray-worker-1")], None);
    assert!(discovery.workers.is_empty());
    assert!(discovery.refused[0].reason.contains("mount namespace"));
}

fn on_host(raylet: Process) -> Process {
    raylet.in_namespaces(namespaces(0)).in_cgroup("0::/user.slice\n")
}

#[test]
fn a_raylet_on_the_bare_host_is_a_worker_only_by_roots_settings() {
    let discovery = assigned(vec![on_host(raylet(20, 1).of_user(1000))], &[], None);
    assert!(discovery.workers.is_empty());
    assert!(discovery.refused[0].reason.contains("bare.temp_root"));

    let bare = Bare { temp_root: "/scratch".into(), user_id: 1000 };
    let discovery = assigned(vec![on_host(raylet(20, 1).of_user(1000))], &[], Some(&bare));
    assert_eq!(names(&discovery), [("host", "bare")]);
    // The raylet's own arguments say /tmp/ray, and are not asked.
    let owner = Some(1000);
    let root = TempRoot { path: "/scratch".into(), sessions: "ray".into(), leftovers: false, owner };
    assert_eq!(discovery.workers[0].temp_roots, [root]);

    let discovery = assigned(vec![on_host(raylet(20, 1).of_user(1001))], &[], Some(&bare));
    assert!(discovery.workers.is_empty(), "another user's process may call itself raylet");
    assert!(discovery.refused[0].reason.contains("user 1001"));
}

#[test]
fn a_bare_host_whose_ray_has_stopped_is_a_worker_where_root_names_its_temp_root() {
    assert!(names(&assigned(vec![], &[], None)).is_empty());

    let bare = Bare { temp_root: "/scratch".into(), user_id: 1000 };
    let discovery = assigned(vec![init()], &[container("ray-worker-1")], Some(&bare));
    assert_eq!(names(&discovery), [("ray-worker-1", "docker"), ("host", "bare")]);
    let host = &discovery.workers[1];
    assert_eq!((host.init.pid, host.mount_namespace), (1, namespaces(0).mount), "through its first process");
    assert!(host.raylets.is_empty());
    let owner = Some(1000);
    let root = TempRoot { path: "/scratch".into(), sessions: "ray".into(), leftovers: false, owner };
    assert_eq!(host.temp_roots, [root]);

    // Where Ray runs as somebody else the settings are wrong, and nobody knows whose the sessions are.
    let discovery = assigned(vec![on_host(raylet(20, 1).of_user(1001))], &[], Some(&bare));
    assert!(discovery.workers.is_empty());

    let blind = Snapshot { processes: vec![], ..snapshot([]) };
    let discovery = assign(&blind, &[], Some(&bare), &|_| false, &|_| TempVariables::default());
    assert!(discovery.workers.is_empty());
    assert!(discovery.refused[0].reason.contains("first process cannot be read"));
}

/// As `/proc/PID/cgroup` reads where there is only cgroup v2, by Docker's two drivers and Podman's.
#[test]
fn a_container_is_known_by_its_cgroup_where_there_is_only_v2() {
    for own in [
        format!("/system.slice/docker-{CONTAINER}.scope"),
        format!("/docker/{CONTAINER}"),
        format!("/machine.slice/libpod-{CONTAINER}.scope"),
        format!("/machine.slice/libpod-{CONTAINER}.scope/container"),
    ] {
        let line = format!("0::{own}\n");
        // Ray may run in a container inside the container.
        let deeper = format!("0::{own}/nested\n");
        let inside = |process: Process| process.in_cgroup(&deeper).in_namespaces(namespaces(2));
        let processes = vec![init().in_cgroup(&line), inside(raylet(20, 10))];
        let discovery = assigned(processes, &[container("trainer")], None);
        assert_eq!(names(&discovery), [("trainer", "docker")], "{own}");
        assert_eq!(discovery.workers[0].raylets.len(), 1, "{own}");
    }
    let beside = init().in_cgroup("0::/system.slice/docker.service\n");
    let discovery = assigned(vec![beside], &[container("ray-worker-1")], None);
    assert!(discovery.workers.is_empty() && discovery.refused.len() == 1);
}

#[test]
fn a_worker_carries_where_its_runtime_keeps_its_layer_and_when_it_started_it() {
    let (upper_layer, started_at) = (Some("/disk/overlay2/x/diff".into()), Some(jiff::Timestamp::UNIX_EPOCH));
    let told = Container { upper_layer: upper_layer.clone(), started_at, ..container("ray-worker-1") };
    let discovery = assigned(vec![init()], &[told], None);
    assert_eq!(
        (&discovery.workers[0].upper_layer, discovery.workers[0].started_at),
        (&upper_layer, started_at)
    );
}

#[test]
fn a_raylet_of_which_no_runtime_tells_has_its_sessions_and_no_leftovers() {
    let discovery = assigned(vec![raylet(20, 10), raylet(21, 10)], &[], None);
    assert_eq!(names(&discovery), [("container-2e1163d20a8a", "unknown")]);
    let worker = &discovery.workers[0];
    assert_eq!(worker.raylets.len(), 2);
    // The raylet names it, and runs as user 0.
    let owner = Some(0);
    let root = TempRoot { path: "/tmp/ray".into(), sessions: "".into(), leftovers: false, owner };
    assert_eq!(worker.temp_roots, [root]);
    assert!(!worker.runtime.leftovers_are_its_own());

    let service = raylet(20, 1).in_cgroup("0::/system.slice/ray.service\n");
    let discovery = assigned(vec![service], &[], None);
    assert_eq!(names(&discovery), [("mounts-4026531101", "unknown")]);
}

#[test]
fn a_crowd_that_calls_itself_raylet_is_one_container_that_is_refused() {
    let crowd = |number: i32| (0..number).map(|n| raylet(20 + n, 10));
    let found = |raylets: Vec<Process>, containers: &[Container]| {
        let discovery = assigned([vec![init()], raylets].concat(), containers, None);
        (discovery.workers.len(), discovery.refused.first().map(|refused| refused.reason.clone()))
    };
    for containers in [&[container("ray-worker-1")][..], &[]] {
        assert_eq!(found(crowd(8).collect(), containers), (1, None));
        let (workers, reason) = found(crowd(9).collect(), containers);
        assert!(workers == 0 && reason.unwrap().contains("9 processes in it are raylets"));
        let folders = crowd(8).enumerate().map(|(n, mut raylet)| {
            raylet.arguments.retain(|argument| !argument.contains("_dir="));
            raylet.arguments.push(format!("--temp_dir=/data/{n}"));
            raylet.arguments.push(format!("--session_dir=/scratch/{n}/session_1"));
            raylet
        });
        let mut raylets: Vec<Process> = folders.collect();
        let first_alone = raylets.split_off(1);
        assert_eq!(found(raylets.clone(), containers), (1, None));
        // In the container's own /tmp as well.
        raylets.extend(first_alone);
        let (workers, reason) = found(raylets, containers);
        if containers.is_empty() {
            assert_eq!((workers, reason), (1, None), "16 and no more");
        } else {
            assert!(workers == 0 && reason.unwrap().contains("17 temporary folders"));
        }
    }
}

#[test]
fn a_raylet_belongs_to_its_own_container_among_several() {
    let other_id = "74f0191d77c049f80ed3e0c4510b0401ce0b1da574a129f25fc2d7e5a5a6abbc";
    let other = Container { id: other_id.to_owned(), pid: 30, ..container("ray-worker-2") };
    let in_other = |process: Process| {
        process.in_namespaces(namespaces(2)).in_cgroup(&format!("2:cpuacct:/docker/{other_id}\n"))
    };
    let processes = vec![
        init(),
        raylet(20, 10),
        in_other(process(30, 5, "/usr/bin/tini", &["tini"])),
        in_other(raylet(40, 30)),
    ];
    let discovery = assigned(processes, &[container("ray-worker-1"), other], None);
    let raylets: Vec<i32> = discovery.workers.iter().map(|worker| worker.raylets[0].id.pid).collect();
    assert_eq!(raylets, [20, 40]);
}

fn discovered(socket: &std::path::Path) -> Result<Discovery, DiscoverError> {
    let mut settings = SweepSettings::default();
    settings.containers.socket = socket.to_owned();
    settings.containers.timeout = crate::config::units::Span(std::time::Duration::from_millis(200));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(discover(&settings, &snapshot([host_init()])))
}

#[test]
fn without_a_socket_there_is_no_runtime_and_a_silent_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    assert!(discovered(&socket).unwrap().workers.is_empty());

    let listener = UnixListener::bind(&socket).unwrap();
    let began = std::time::Instant::now();
    let DiscoverError::Runtime { message, .. } = discovered(&socket).unwrap_err() else { panic!() };
    assert!(message.contains("no answer within 200ms"), "{message}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5));

    // The file is left behind by a runtime that died.
    drop(listener);
    assert!(discovered(&socket).is_err());
}

#[test]
fn a_worker_is_asked_for_the_folders_that_it_started_with() {
    let mut sleeper = std::process::Command::new("sleep");
    let mut child = sleeper.arg("600").env_clear().env("TMPDIR", "/tmp/own").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let own = environment(ProcessId { pid, start_ticks: 0 });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(own.tmpdir, Some("/tmp/own".into()));
}

#[test]
fn only_what_a_runtime_calls_a_containers_own_is_the_workers_alone() {
    for (runtime, own) in
        [(Runtime::Docker, true), (Runtime::Podman, true), (Runtime::Bare, false), (Runtime::Unknown, false)]
    {
        assert_eq!(runtime.leftovers_are_its_own(), own, "{}", runtime.as_str());
    }
}
