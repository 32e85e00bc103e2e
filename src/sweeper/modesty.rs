//! How what we start on a host gives way to the work there: niceness for the CPU, the idle class for
//! the disk.
//!
//! The CPU's idle class was tried and is not taken: hosts of Ray are busy on every core, and there it
//! starves. With some ten runnable processes a core, 0.16 s of CPU took 68 s, so that `measure` saw no
//! disk at all within its minute, and a sweep would hold its candidates detached for as long. At niceness
//! 10 a process has a tenth of the weight of one that works, which is little and arrives.
//!
//! In the disk's idle class somebody else may have to wait for a lock of the file system or the journal
//! that we hold while we wait for the disk. Each call removes one name, so none is held beyond one call.

use ioprio::{Class, Pid, Priority, Target};
use rustix::process::{Resource, Rlimit, nice, setrlimit};

/// By how much less than whoever started us we want.
const NICER: i32 = 10;

/// Memory that nothing of ours exceeds, whatever there is on a host and whatever it says of itself.
const MOST_MEMORY_BYTES: u64 = 1 << 30;

/// Bounds the memory of this process and of those that it starts. One that is denied memory aborts, which
/// a sweep's parent tells as a failure and its children take for their end: they give back what is detached.
/// Where the host has none left, the kernel is to end us, and no job. What cannot be limited is no reason not
/// to work.
pub(crate) fn bound_memory() {
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = setrlimit(Resource::Data, limit(MOST_MEMORY_BYTES));
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Makes the calling thread, and with it every thread and process that it starts from now on, give way.
/// To be called first thing, while there is one thread. What cannot be set is no reason not to work.
pub(crate) fn give_way() {
    let _ = nice(NICER);
    let _ = ioprio::set_priority(Target::Process(Pid::from_raw(0)), Priority::new(Class::Idle));
}
