//! How what we start on a host gives way to the work there: the idle class for CPU and for the disk.
//!
//! The idle class is no stop: the kernel gives it about a three-hundredth of a core that somebody else
//! wants, and all of a core that nobody does. Two things follow from that, and both were weighed:
//!
//! - **A host whose cores are all busy.** A sweep there is slow, and its deadline ends it: whoever holds
//!   the lock and the clock (`supervise`) is *not* in the idle class, so it ends in time, and reports
//!   what was freed until then. What was detached gets its name back, and the next sweep goes on. Only a
//!   host with no CPU left is so slow to clean, and such a host works; taking cores from that work to
//!   make room for it would be the interruption that this program exists to avoid.
//! - **A lock of the file system that is held by somebody who does not get to run.** An `unlink` holds
//!   its folder's lock and a handle on the journal, and whoever waits for those (an `fsync`, a file made
//!   in the same folder) waits for us. The kernel does not lend us its priority. What bounds the wait: each
//!   call removes one name, so no lock outlives one call; a call takes some ten microseconds of CPU; and
//!   the share of the idle class is small and not nothing. So a wait is some milliseconds on a busy core,
//!   once in a while. The folders are leftovers, in which nobody else makes files, so that the journal
//!   alone is shared. A real lock held for longer than one call (our own `flock`) is the supervisor's.
//!
//! Where the kernel or a filter of system calls refuses the class, what can be had is taken: niceness,
//! from which the I/O priority follows too. Nothing of it is a reason not to work.

use ioprio::{Class, Pid, Priority, Target};
use rustix::process::{getpriority_process, setpriority_process};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// By how much less than whoever started us we want, where the idle class cannot be had.
const NICER: i32 = 10;
/// The kernel's last.
const NICEST: i32 = 19;

/// Puts the calling thread, and with it every thread and process that it starts from now on, into the
/// idle class. To be called first thing, while there is one thread.
pub(crate) fn give_way() {
    // Before the class is set, because the crate gives niceness a value of its own with it.
    let nice = getpriority_process(None).unwrap_or(0);
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    let _ = setpriority_process(None, nice.saturating_add(NICER).min(NICEST));
    // Left unset it would follow from the CPU's class, unless whoever started us has set another one.
    let _ = ioprio::set_priority(Target::Process(Pid::from_raw(0)), Priority::new(Class::Idle));
}
