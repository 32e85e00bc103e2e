//! kill -9 at every step, disks with nothing left, and whatever hangs.

use std::{
    fs, io,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use raysweep::domain::{
    attempt::Outcome,
    report::{Class, Verdict},
};

use crate::{
    stage::{PLAIN, at_rest, docker, exists, image, plant, sh, wait_until_older},
    sweeping::{CALLED, INSIDE, SWEEPING, Settings, Swept, nothing_runs, processes},
    world::{self, run, wait_for, wait_until},
};

fn signal(signal: &str, kind: &str) {
    let pids =
        wait_for(20, &format!("a process {kind:?}"), || Some(processes(kind)).filter(|p| !p.is_empty()));
    for pid in pids {
        // One that has just ended is as good as killed.
        let _ = run(&["kill", signal, &pid], "");
    }
}

/// A container's `/tmp`, seen from the host; for looking only.
fn temp_root(container: &str) -> PathBuf {
    let pid = docker(&["inspect", "-f", "{{.State.Pid}}", container]).unwrap();
    PathBuf::from(format!("/proc/{pid}/root/tmp"))
}

fn detached(root: &Path) -> Vec<String> {
    let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".raysweep-")).collect()
}

/// A temporary folder of so many files that a delete can be met in the middle.
fn plant_many(container: &str) -> String {
    let script = "d=$(mktemp -d /tmp/tmpXXXXXX); cd $d; for i in $(seq 150); do mkdir $i; \
                  (cd $i; seq -f 'f%g' 100 | xargs touch); done; echo $d";
    sh(container, script).unwrap()
}

fn sweep() -> Swept {
    Settings::default().sweep(PLAIN)
}

/// What the killed one was asking Ray outlives it in the worker, until its own alarm after ten seconds, and
/// is a program like any other: until then the worker counts as at work.
fn once_the_question_has_ended() -> Swept {
    wait_for(60, "the question of the killed sweep to end", || {
        Some(sweep()).filter(|swept| swept.report.outcome != Outcome::Active)
    })
}

#[test]
fn whoever_is_killed_at_whatever_step_nothing_in_use_is_lost_and_the_next_sweep_finishes() {
    at_rest();
    let root = temp_root(PLAIN);
    let mounts = || sh(PLAIN, "wc -l </proc/self/mountinfo").unwrap();
    let mounted = mounts();
    let held = plant(PLAIN, "tmp*", 1_000_000, 1).remove(0);
    docker(&["exec", "-d", PLAIN, "sh", "-c", &format!("exec 9<{held}/data.bin; exec sleep 600")]).unwrap();
    let holder = wait_for(20, "the process to hold the file", || {
        docker(&["top", PLAIN, "-eo", "pid,args"])
            .unwrap()
            .contains("sleep 600")
            .then(|| crate::ray::pid_of(PLAIN, "sleep 600"))
    });
    for (step, who) in [
        ("judging", CALLED),
        ("detached", SWEEPING),
        ("deleting", CALLED),
        ("deleting", SWEEPING),
        ("deleting", INSIDE),
    ] {
        let many = plant_many(PLAIN);
        wait_until_older(PLAIN, &[&many], 3);
        let mut started = Settings::default().start(&["--trigger", "alert", "--worker", PLAIN]);
        let until = Instant::now() + Duration::from_mins(2);
        if step == "judging" {
            wait_until(20, "the sweep to look", || !processes(INSIDE).is_empty());
        } else {
            // Closely: it does not take long.
            let mark = if step == "detached" { "" } else { "~" };
            while !detached(&root)
                .iter()
                .any(|name| name.get(46..).is_some_and(|rest| rest.starts_with(mark)))
            {
                assert!(Instant::now() < until, "{step} was not met");
                if started.try_wait().unwrap().is_some() {
                    let swept = Swept::of(started);
                    panic!("{step} was not met: {}", swept.shown());
                }
            }
        }
        signal("-KILL", who);
        drop(started.wait_with_output());
        nothing_runs(30);
        assert!(exists(PLAIN, &format!("{held}/data.bin")), "{who} killed while {step}");
        if step == "judging" {
            assert!(exists(PLAIN, &format!("{many}/150/f100")), "{who} killed while {step}");
        }

        if step == "detached" {
            // What got its name back is as young as that, which its folder tells.
            wait_until_older(PLAIN, &["/tmp -maxdepth 0"], 3);
        }
        let next = if step == "judging" { once_the_question_has_ended() } else { sweep() };

        assert!(!exists(PLAIN, &many), "{who} killed while {step}: {}", next.shown());
        assert_eq!(detached(&root), Vec::<String>::new(), "{who} killed while {step}: {}", next.shown());
        assert!(exists(PLAIN, &format!("{held}/data.bin")), "{who} killed while {step}: {}", next.shown());
        assert_eq!(mounts(), mounted, "{who} killed while {step}");
    }
    run(&["kill", &holder.to_string()], "").unwrap();
}

/// A worker whose `/tmp` is a small file system of its own.
struct Small {
    name: String,
    mount: PathBuf,
}

const SESSION: &str = "ray/session_2020-01-01_00-00-00_000000_1";

impl Small {
    /// Ray has died in it and left a session.
    fn start(kind: &str, make: &str) -> Self {
        let name = format!("ray-worker-{kind}");
        let mount = world::dir().join(&name);
        let image_file = world::dir().join(format!("{name}.img"));
        fs::create_dir_all(&mount).unwrap();
        let (at, file) = (mount.display(), image_file.display());
        run(
            &["sh", "-ec", &format!("truncate -s 320M {file}; {make} {file}; mount -o loop {file} {at}")],
            "",
        )
        .unwrap();
        let spilled = mount.join(SESSION).join("ray_spilled_objects");
        fs::create_dir_all(&spilled).unwrap();
        fs::write(spilled.join("object"), vec![1; 8_000_000]).unwrap();
        docker(&["run", "-d", "--name", &name, "-v", &format!("{at}:/tmp"), &image(), "sleep", "infinity"])
            .unwrap();
        Self { name, mount }
    }

    /// Until not one more block can be had; xfs counts a few as free that nobody gets.
    fn fill_bytes(&self) {
        let script = "for s in 256M 64M 16M 4M 1M 256K 64K 4K; do i=0; \
                      while fallocate -l $s fill.$s.$i 2>/dev/null; do i=$((i+1)); done; done; \
                      dd if=/dev/zero of=rest bs=4k 2>/dev/null; \
                      ! dd if=/dev/zero of=more bs=4k count=1 2>/dev/null";
        run(&["sh", "-c", &format!("cd {}; {script}", self.mount.display())], "").unwrap();
    }

    fn fill_inodes(&self) {
        let full =
            (0..50_000).find_map(|number| fs::File::create(self.mount.join(format!("fill{number}"))).err());
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
    }

    fn spilled(&self) -> PathBuf {
        self.mount.join(SESSION).join("ray_spilled_objects")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = docker(&["rm", "-f", &self.name]);
        let _ = run(&["umount", &self.mount.display().to_string()], "");
        let _ = run(&["rm", "-f", &format!("{}.img", self.mount.display())], "");
    }
}

/// Lock, result and log lie on disks without a byte and an inode as well.
#[test]
fn a_disk_without_a_byte_or_an_inode_is_freed_whatever_else_is_full() {
    at_rest();
    let full = world::dir().join("full");
    fs::create_dir_all(&full).unwrap();
    let at = full.display();
    run(
        &["sh", "-ec", &format!("mount -t tmpfs -o size=64k,nr_inodes=4 none {at}; mkdir {at}/run {at}/log")],
        "",
    )
    .unwrap();
    run(
        &[
            "sh",
            "-c",
            &format!("cat /dev/zero >{at}/rest 2>/dev/null; df --output=avail,iavail {at} | tail -n 1"),
        ],
        "",
    )
    .unwrap();
    assert!(fs::File::create(full.join("log/more")).is_err(), "there is room left");
    for (kind, make, fill) in [
        ("ext4-bytes", "mkfs.ext4 -q -m 0", Small::fill_bytes as fn(&Small)),
        ("ext4-inodes", "mkfs.ext4 -q -N 128", Small::fill_inodes),
        ("xfs-bytes", "mkfs.xfs -q", Small::fill_bytes),
        ("xfs-inodes", "mkfs.xfs -q -i maxpct=1", Small::fill_inodes),
    ] {
        let small = Small::start(kind, make);
        fill(&small);
        wait_until_older(&small.name, &[&format!("/tmp/{SESSION}")], 3);
        let settings =
            Settings { runtime_dir: full.join("run"), log_dir: full.join("log"), ..Settings::default() };

        let swept = settings.sweep(&small.name);

        assert_eq!(
            (swept.report.outcome, swept.exit),
            (Outcome::Freed, Some(0)),
            "{kind}: {}",
            swept.shown()
        );
        let removed = &swept.worker(&small.name).removed[0];
        assert_eq!(removed.class, Class::DeadSession, "{kind}: {}", swept.shown());
        assert!(removed.bytes >= 8_000_000, "{kind}: {}", swept.shown());
        assert!(!small.spilled().exists(), "{kind}: {}", swept.shown());
        assert_eq!(detached(&small.mount.join(SESSION)), Vec::<String>::new(), "{kind}");
        fs::File::create(small.mount.join("again")).unwrap();
    }
    run(&["umount", &at.to_string()], "").unwrap();
}

#[test]
fn a_runtime_that_takes_the_call_and_never_answers_ends_the_sweep_in_time() {
    at_rest();
    let socket = world::dir().join("deaf.sock");
    // The kernel takes the connections, and nobody ever reads them.
    let _listener = UnixListener::bind(&socket).unwrap();
    let began = Instant::now();

    let swept = Settings { socket, ..Settings::default() }.sweep(PLAIN);

    assert_eq!((swept.report.outcome, swept.exit), (Outcome::Failed, Some(1)), "{}", swept.shown());
    assert!(
        swept.report.reason.as_deref().is_some_and(|why| why.contains("does not answer")),
        "{}",
        swept.shown()
    );
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    nothing_runs(30);
}

/// Thawed in any case: nothing else would ever end there.
struct Frozen<'a>(&'a Path);

impl<'a> Frozen<'a> {
    fn new(mount: &'a Path) -> Self {
        run(&["fsfreeze", "-f", &mount.display().to_string()], "").unwrap();
        Self(mount)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = run(&["fsfreeze", "-u", &self.0.display().to_string()], "");
    }
}

#[test]
fn a_worker_whose_disk_does_not_answer_keeps_no_other_one_from_being_freed() {
    at_rest();
    // Its name comes first, so that it is swept first.
    let small = Small::start("0-frozen", "mkfs.ext4 -q");
    let planted = plant(PLAIN, "tmp*", 10_000_000, 1).remove(0);
    wait_until_older(PLAIN, &[&planted], 3);
    wait_until_older(&small.name, &[&format!("/tmp/{SESSION}")], 3);
    let frozen = Frozen::new(&small.mount);
    let began = Instant::now();

    let swept = Settings { deadline: "40s", ..Settings::default() }.sweep_with(&["--trigger", "alert"]);

    let took = began.elapsed();
    assert_eq!(swept.worker(PLAIN).verdict, Verdict::Cleaned, "{}", swept.shown());
    assert!(!exists(PLAIN, &planted), "{}", swept.shown());
    let stuck = swept.worker(&small.name);
    assert_eq!(stuck.verdict, Verdict::Failed, "{}", swept.shown());
    assert!(stuck.errors.iter().any(|error| error.contains("no answer")), "{}", swept.shown());
    assert!(took < Duration::from_secs(40), "{took:?}: {}", swept.shown());
    assert!(!processes(INSIDE).is_empty(), "nothing hung: {}", swept.shown());

    drop(frozen);
    nothing_runs(30);
    assert!(small.spilled().join("object").exists(), "it has its name back: {}", swept.shown());
    // It is as young as that, which the session's folder tells.
    wait_until_older(&small.name, &[&format!("/tmp/{SESSION}")], 3);
    let next = Settings::default().sweep(&small.name);
    assert!(!small.spilled().exists(), "{}", next.shown());
}

/// As one that hangs in a read of /proc would.
#[test]
fn a_sweep_that_hangs_is_ended_says_so_and_leaves_the_lock_free() {
    at_rest();
    let settings = Settings { deadline: "11s", sampling_window: "3s", ..Settings::default() };
    let began = Instant::now();
    let sweep = settings.start(&["--trigger", "alert", "--worker", PLAIN]);
    signal("-STOP", SWEEPING);

    let swept = Swept::of(sweep);

    assert_eq!((swept.report.outcome, swept.exit), (Outcome::Failed, Some(1)), "{}", swept.shown());
    assert!(swept.report.reason.as_deref().is_some_and(|why| why.contains("deadline")), "{}", swept.shown());
    assert!(began.elapsed() < Duration::from_secs(11 + 20 + 15), "{:?}", began.elapsed());
    nothing_runs(30);
    let log = fs::read_to_string(settings.log_dir.join("sweeps.jsonl")).unwrap();
    assert!(log.lines().last().unwrap().contains("deadline"), "the host's log has it");
    let next = Settings::default().sweep(PLAIN);
    assert_ne!(next.report.outcome, Outcome::Busy, "{}", next.shown());
}
