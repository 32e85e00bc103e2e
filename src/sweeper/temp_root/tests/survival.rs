//! kill -9 of the child at every step of a sweep, and what the next sweep makes of it.

use rustix::process::{Signal, kill_process};

use super::*;
use crate::sweeper::inside::tests::harness::{pid_of, wait_for};

/// So many folders that deleting them can be stopped in the middle.
const FOLDERS: usize = 150;
const FILES: usize = 50;
const STEPS: [&str; 7] = ["enter", "usage", "list", "remember", "look", "detach", "second look"];

impl Stage {
    fn plant_many(&self) {
        for folder in 0..FOLDERS {
            let folder = self.path(&format!("tmpa/{folder}"));
            fs::create_dir_all(&folder).unwrap();
            for file in 0..FILES {
                fs::File::create(folder.join(file.to_string())).unwrap();
            }
        }
    }

    /// A sweep by hand up to a step, after which its child is killed.
    fn kill_after(&self, step: &str) {
        let mut inside = enter(self.root.path());
        let pid = pid_of(&inside);
        let at = STEPS.iter().position(|each| *each == step).unwrap();
        let tmpa = id(&self.path("tmpa"));
        if at >= 1 {
            inside.usage().unwrap();
        }
        if at >= 2 {
            inside.list(Path::new(""), &[], 1000).unwrap();
        }
        if at >= 3 {
            inside.remember(&BTreeSet::new()).unwrap();
        }
        if at >= 4 {
            inside.look(Path::new("tmpa")).unwrap();
        }
        if at >= 5 {
            let detached = inside.detach(Path::new("tmpa"), tmpa, AttemptId::now()).unwrap();
            if at >= 6 {
                inside.look(&detached).unwrap();
            }
        }
        kill_process(pid, Signal::KILL).unwrap();
        assert!(inside.usage().is_err());
        drop(inside);
        assert!(!Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists(), "it was waited for");
    }

    /// A sweep whose child is killed in the middle of its delete.
    fn kill_in_delete(&self) {
        let mut inside = enter(self.root.path());
        let pid = pid_of(&inside);
        let tmpa = id(&self.path("tmpa"));
        let detached = inside.detach(Path::new("tmpa"), tmpa, AttemptId::now()).unwrap();
        std::thread::scope(|scope| {
            let delete = scope.spawn(|| inside.delete(&detached, tmpa));
            wait_for("the delete to be under way", || {
                let top = fs::read_dir(self.root.path()).unwrap().next()?.unwrap().path();
                let begun = top.to_string_lossy().contains("~tmpa");
                (begun && fs::read_dir(top).ok()?.count() < FOLDERS).then_some(())
            });
            kill_process(pid, Signal::KILL).unwrap();
            assert!(matches!(delete.join().unwrap(), Err(InsideError::Gone(_))), "it was all deleted");
        });
    }
}

#[test]
fn after_a_kill_at_any_step_before_the_delete_nothing_is_lost_and_the_next_sweep_finishes() {
    for step in STEPS {
        let stage = Stage::new();
        stage.plant("tmpa/x");
        stage.plant("mine/x");
        stage.kill_after(step);
        // While work goes on, all that the next sweep does is to give the name back.
        let at_work = Stage { state: WorkerState::Active, ..stage };
        at_work.sweep();
        assert_eq!(at_work.standing(), ["mine", "mine/x", "tmpa", "tmpa/x"], "{step}");
        at_work.kill_after(step);
        let at_rest = Stage { state: WorkerState::NoJob, ..at_work };
        at_rest.sweep();
        assert_eq!(at_rest.standing(), ["mine", "mine/x"], "{step}");
    }
}

#[test]
fn after_a_kill_in_the_middle_of_the_delete_the_next_sweep_finishes_at_once() {
    let stage = Stage { hours_later: 0, state: WorkerState::InJob, ..Stage::new() };
    stage.plant_many();
    stage.kill_in_delete();
    stage.plant("mine/x");
    assert!(stage.standing().len() > 3, "half of it stands");
    let findings = stage.sweep();
    assert_eq!(findings.removed.len(), 1, "{findings:?}");
    assert!(findings.removed[0].path.contains("~tmpa"), "{findings:?}");
    assert_eq!(stage.standing(), ["mine", "mine/x"]);
}
