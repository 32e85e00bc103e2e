//! Temp roots of every kind: a volume, memory, and those that a sweep refuses.

use raysweep::domain::report::Verdict;

use crate::{
    play::rounds,
    stage::{Outside, SESSION, Worker, figure, settings},
    sweeping::Settings,
    world::{self, run, wait_until},
};

#[test]
fn a_volume_and_a_tmpfs_are_swept_as_any_other_and_left_by_no_symlink() {
    for (name, mount) in [("volume", "siege-tmp:/tmp"), ("memory", "")] {
        let outside = Outside::new(name);
        let victims = format!("{}:/victims", outside.victims.display());
        let tmp: &[&str] = if mount.is_empty() { &["--tmpfs", "/tmp:exec"] } else { &["-v", mount] };
        let worker = Worker::start(name, &[&["-v", victims.as_str()][..], tmp].concat());
        for folder in ["precious", "outside"] {
            worker.player(&["forest", &format!("/root/{folder}")]);
        }
        // A rename does not lead out of a file system: what is put aside stays in this one.
        worker
            .sh("mkdir /tmp/aside && sed -i 's|^ASIDE = .*|ASIDE = \"/tmp/aside/it\"|' /root/player.py")
            .unwrap();

        let score = rounds(&worker, &outside, "symlinks", "swaps", 500);

        assert!(score.of("met") > 0, "{score:?}");
        figure(&format!("/tmp a {name}: {} swaps in {} sweeps", score.of("swaps"), score.sweeps));
        worker.sh(&format!("mkdir -p {SESSION}/data; echo x >{SESSION}/data/f")).unwrap();
        worker.wait_until_old("/tmp/ray");
        let swept = settings().sweep(&worker.name);
        assert_eq!(swept.worker(&worker.name).verdict, Verdict::Cleaned, "{}", swept.shown());
        assert!(!worker.has(&format!("{SESSION}/data")), "{}", swept.shown());
    }
}

/// There is no network here; to the kernel one file system that a process serves is as good as another.
#[test]
fn a_network_file_system_is_refused_with_the_reason() {
    let (far, near) = (world::dir().join("far"), world::dir().join("near"));
    for folder in [&far, &near] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let near = near.display().to_string();
    run(&["bindfs", &far.display().to_string(), &near], "").unwrap();
    let worker = Worker::start("network", &["-v", &format!("{near}:/tmp")]);
    worker.sh(&format!("mkdir -p {SESSION}/data; echo x >{SESSION}/data/f")).unwrap();
    worker.wait_until_old("/tmp/ray");

    let swept = settings().sweep(&worker.name);

    let report = swept.worker(&worker.name);
    assert_eq!(report.verdict, Verdict::Failed, "{}", swept.shown());
    assert!(
        report.errors.iter().any(|error| error.contains("a FUSE file system is not local")),
        "{}",
        swept.shown()
    );
    assert!(worker.has(&format!("{SESSION}/data/f")), "{}", swept.shown());
    drop(worker);
    run(&["umount", &near], "").unwrap();
}

/// Such as `sshfs` or a program that starts from an image: nobody but that user is answered, and root neither.
#[test]
fn who_stands_in_a_file_system_of_their_own_keeps_no_sweep_from_freeing() {
    let dir = world::dir().join("private");
    std::fs::create_dir_all(&dir).unwrap();
    // Whoever may open the device may serve; here that is root alone.
    let serve = "cd $0; chmod 755 .; mkdir -p far near; chown 65534 far near; mknod fuse c 10 229; chmod 666 fuse; \
                 mount --bind fuse /dev/fuse; \
                 setpriv --reuid 65534 --regid 65534 --clear-groups sh -ec \
                 'bindfs --no-allow-other far near; cd near; sleep 7200 >/dev/null 2>&1 & echo $! >pid'; \
                 umount --lazy /dev/fuse";
    run(&["sh", "-ec", serve, &dir.display().to_string()], "").unwrap();
    let pid = std::fs::read_to_string(dir.join("far/pid")).unwrap().trim().to_owned();
    let cwd = format!("/proc/{pid}/cwd");
    assert!(std::fs::metadata(&cwd).is_err(), "it answers root");
    let worker = Worker::start("private", &[]);
    worker.sh(&format!("mkdir -p {SESSION}/data; echo x >{SESSION}/data/f")).unwrap();
    worker.wait_until_old("/tmp/ray");

    let swept = settings().sweep(&worker.name);

    let _ = run(&["sh", "-c", &format!("kill {pid}; umount -l {}", dir.join("near").display())], "");
    assert_eq!(swept.worker(&worker.name).verdict, Verdict::Cleaned, "{}", swept.shown());
    assert!(!worker.has(&format!("{SESSION}/data")), "{}", swept.shown());
}

/// A daemon of its own whose containers' users are not the host's. Its image is `sleep` and what that needs.
#[test]
fn a_container_with_users_of_its_own_is_refused_with_the_reason() {
    crate::stage::ready();
    let dir = world::dir().join("remapped");
    std::fs::create_dir_all(&dir).unwrap();
    let at = dir.display();
    let start = format!(
        "grep -q ^siege: /etc/passwd || useradd -r siege; \
         echo siege:500000:65536 >/etc/subuid; cp /etc/subuid /etc/subgid; echo '{{}}' >{at}/daemon.json; \
         setsid dockerd --config-file {at}/daemon.json --host unix://{at}/docker.sock --data-root {at}/data \
         --exec-root {at}/exec --pidfile {at}/docker.pid --userns-remap siege --bridge none --iptables=false \
         --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent /$WORLD_ID </dev/null >>{at}/log 2>&1 &"
    );
    run(&["sh", "-ec", &start], "").unwrap();
    let socket = format!("unix://{at}/docker.sock");
    let remapped = |words: &[&str]| run(&[&["docker", "-H", &socket], words].concat(), "");
    wait_until(60, "the second daemon to answer", || remapped(&["version"]).is_ok());
    let image = "cd $(mktemp -d) && mkdir -p tmp proc dev sys etc && \
                 cp -L --parents $(ldd /bin/sleep | grep -o '/[^ ]*') $(command -v sleep) . && tar c . | \
                 docker -H $0 import - siege-sleep";
    run(&["bash", "-c", image, &socket], "").unwrap();
    let sleep = run(&["sh", "-c", "command -v sleep"], "").unwrap();
    let words = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "ray-worker-rootless",
        "siege-sleep",
        &sleep,
        "infinity",
    ];
    remapped(&words).unwrap();
    let pid = remapped(&["inspect", "-f", "{{.State.Pid}}", "ray-worker-rootless"]).unwrap();
    let left = format!("/proc/{pid}/root{SESSION}/data");
    std::fs::create_dir_all(&left).unwrap();

    let swept = Settings { socket: dir.join("docker.sock"), ..settings() }.sweep("ray-worker-rootless");

    let report = swept.worker("ray-worker-rootless");
    let stood = std::fs::exists(&left).unwrap();
    let _ = remapped(&["rm", "-f", "ray-worker-rootless"]);
    run(&["sh", "-c", &format!("kill $(cat {at}/docker.pid)")], "").unwrap();
    assert_eq!(report.verdict, Verdict::Failed, "{}", swept.shown());
    assert!(report.errors.iter().any(|error| error.contains("rootless")), "{}", swept.shown());
    assert!(stood, "{}", swept.shown());
}
