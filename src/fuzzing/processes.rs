//! What a process can choose: its name, its arguments, the cgroup that it is put into.

use crate::sweeper::{
    discover::membership::Membership,
    processes::{
        Process, Status,
        fixture::{CONTAINER, namespaces, process, snapshot},
        proc::{self, Stat},
    },
};

/// The name in `stat` is any bytes, and none of them changes what follows it.
pub(super) fn stat(data: &[u8]) {
    let name = String::from_utf8_lossy(data);
    let _ = Stat::parse(&name);
    let line = format!("42 ({name}) S 7 1 1 0 -1 4194560 9 0 0 0 150 50 20 10 20 0 1 0 9876 1 1\n");
    let expected = Stat {
        parent: 7,
        ended: false,
        kernel_thread: false,
        flags: 4_194_560,
        in_foreground: false,
        cpu_ticks: 200,
        children_cpu_ticks: 30,
        start_ticks: 9876,
    };
    assert_eq!(Stat::parse(&line), Some(expected), "{line:?}");
}

/// The kernel escapes line breaks in the name of `status`.
pub(super) fn status(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = Status::parse(&text);
    let name = text.replace('\\', "\\\\").replace('\n', "\\n");
    let status = format!("Name:\t{name}\nUid:\t1000\t0\t0\t0\nGid:\t100\t0\t0\t0\nNSpid:\t42\t7\n");
    let expected = Status { user_id: 1000, group_id: 100, inner_pid: 7 };
    assert_eq!(Status::parse(&status), Some(expected), "{status:?}");
}

/// Nothing of the arguments is lost but what was left behind a title.
pub(super) fn arguments(data: &[u8]) {
    let arguments = proc::arguments(data);
    assert_eq!(arguments.is_empty(), data.iter().all(|byte| *byte == 0));
    let followed = [data, b"\0\0"].concat();
    assert_eq!(proc::arguments(&followed), arguments, "NULs at the end are no arguments");
    let said = String::from_utf8_lossy(data);
    let joined = arguments.join("\0");
    match arguments.len() {
        0 => {}
        1 => assert_eq!(joined, said.trim_end_matches('\0').trim_end()),
        _ => assert_eq!(joined, said.trim_end_matches('\0')),
    }
}

/// Whoever is in a cgroup that carries the container's id, or below one, is the container's if its first
/// process is in such a one of the same hierarchy; and nobody is whose cgroup does not carry the id.
pub(super) fn cgroup(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let membership = Membership::of_init(&in_cgroup(1, &text), Some(CONTAINER), &snapshot([]));
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(_), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let carries = path.starts_with('/') && path.split('/').any(|component| component.contains(CONTAINER));
        let below = in_cgroup(2, &format!("{number}:any:{path}/below"));
        assert!(membership.holds(&below) || !carries, "{line:?}");
        let elsewhere = in_cgroup(3, &format!("{number}:any:{}", path.replace(CONTAINER, "other")));
        assert!(!membership.holds(&elsewhere), "{line:?}");
    }
}

/// In the host's namespaces, which tell nothing.
fn in_cgroup(pid: i32, cgroup: &str) -> Process {
    process(pid, 0, "/usr/bin/x", &["x"]).in_namespaces(namespaces(0)).in_cgroup(cgroup)
}
