//! Terminals that somebody has left open in a container.

use raysweep::domain::evidence::WorkerState;

use crate::{
    stage::{Worker, docker, settings},
    world::wait_until,
};

/// Whether a shell has nothing under way: its terminal listens to it.
const AT_ITS_PROMPT: &str = "for p in /proc/[0-9]*; do \
     [ \"$(tr -d '\\0' <$p/cmdline)\" = bash ] && set -- $(cut -d' ' -f5,8 $p/stat) && [ $1 = $2 ] && exit 0; \
     done; exit 1";
/// The class in brackets keeps the search from finding itself.
const SLEEPS: &str = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q 'sleep 60[0]'";

/// A folder that is held by nothing but its name, which only the shell remembers.
#[test]
fn what_was_typed_into_a_shell_is_at_work_and_a_shell_at_its_prompt_is_not() {
    for (name, typed, stands, at_work) in [
        ("prompt", "", AT_ITS_PROMPT, false),
        ("loop", "while sleep 600; do ls /tmp/tmph*; done", SLEEPS, true),
        ("behind", "[ $begun ] || { begun=1; (sleep 600; ls /tmp/tmph*) & }", SLEEPS, true),
    ] {
        let worker = Worker::start(name, &[]);
        worker.sh("mkdir /tmp/tmpheld; echo x >/tmp/tmpheld/file").unwrap();
        // The shell runs it before it prompts, as if it had been typed.
        let typed = format!("PROMPT_COMMAND={typed}");
        docker(&["exec", "-dt", "-e", &typed, &worker.name, "bash"]).unwrap();
        wait_until(30, "the shell to stand there", || worker.sh(stands).is_ok());
        worker.wait_until_old("/tmp/tmpheld");

        let swept = settings().sweep(&worker.name);

        // Without Ray nobody says that no job is alive.
        let state = if at_work { WorkerState::Active } else { WorkerState::InJob };
        assert_eq!(swept.worker(&worker.name).state, Some(state), "{name}: {}", swept.shown());
        assert_eq!(worker.has("/tmp/tmpheld/file"), at_work, "{name}: {}", swept.shown());
    }
}
