//! The checks of `sweep.yml`.

use std::{os::unix::fs::MetadataExt, path::Path};

use globset::Glob;

use super::Problems;
use crate::config::{
    sweep::{Activity, Ages, Bare, Containers, Prune, RayApi, SweepSettings},
    units::Span,
};

/// Who waits for longer is likely to be gone before he begins.
const LONGEST_JITTER: Span = Span::hours(1);

/// Who may write this file decides what root deletes.
pub(super) fn check_file(path: &Path, problems: &mut Problems) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let me = rustix::process::geteuid();
    if me.is_root() && metadata.uid() != 0 {
        problems.add("", format!("belongs to user {}: it must belong to root", metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        problems.add("", "others than its owner may write it: chmod go-w");
    }
}

pub(super) fn check(settings: &SweepSettings, problems: &mut Problems) {
    let SweepSettings {
        mode: _,
        hold_file,
        runtime_dir,
        log_dir,
        deadline,
        // What is no schedule is none to begin with.
        schedule: _,
        jitter,
        min_tmp_size: _,
        activity,
        ages,
        containers,
        bare,
        prune,
    } = settings;
    problems.absolute("hold_file", hold_file);
    problems.absolute("runtime_dir", runtime_dir);
    problems.absolute("log_dir", log_dir);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    // It stands in logrotate's file.
    problems.unless(
        log_dir.to_str().is_some_and(|text| text.chars().all(is_plain)),
        "log_dir",
        "must be a plain path: letters, digits, '/', '.', '_' and '-'",
    );
    problems.positive("deadline", *deadline);
    problems.unless(
        *jitter <= LONGEST_JITTER,
        "jitter",
        &format!("must be at most {LONGEST_JITTER}: it spreads the hosts, and schedule says when they sweep"),
    );
    check_activity(activity, problems);
    check_ages(ages, problems);
    check_containers(containers, problems);
    if let Some(bare) = bare {
        check_bare(bare, problems);
    }
    check_prune(prune, problems);
    for (key, span) in [
        ("activity.sampling_window", activity.sampling_window),
        ("activity.ray_timeout", activity.ray_timeout),
    ] {
        problems.unless(span < *deadline, key, &format!("must be shorter than deadline ({deadline})"));
    }
}

fn check_activity(activity: &Activity, problems: &mut Problems) {
    let Activity { idle_cpu_percent, sampling_window, ignore_programs, ray_timeout, ray_api } = activity;
    problems.unless(
        *idle_cpu_percent > 0.0 && *idle_cpu_percent <= 100.0,
        "activity.idle_cpu_percent",
        "must be above 0 and at most 100, in percent of one core",
    );
    problems.positive("activity.sampling_window", *sampling_window);
    problems.positive("activity.ray_timeout", *ray_timeout);
    if let Some(RayApi { url, token_file }) = ray_api {
        let is_url = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        problems.unless(
            is_url.is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', '@'])),
            "activity.ray_api.url",
            &format!("{url:?} is no address of a dashboard: write http://10.0.0.84:8265"),
        );
        if let Some(file) = token_file {
            let key = "activity.ray_api.token_file";
            problems.absolute(key, file);
            // One that is missing makes every worker active, which the report says; it stops no sweep.
            let is_open = std::fs::metadata(file).is_ok_and(|metadata| metadata.mode() & 0o007 != 0);
            problems.unless(
                !is_open,
                key,
                &format!("{0} is open to everybody: chmod o= {0}", file.display()),
            );
        }
    }
    for (at, program) in ignore_programs.iter().enumerate() {
        problems.unless(
            !program.is_empty() && !program.contains('/'),
            &format!("activity.ignore_programs[{at}]"),
            &format!("{program:?} is no base name of a program: write `sleep`, not `/bin/sleep`"),
        );
    }
}

fn check_ages(ages: &Ages, problems: &mut Problems) {
    let Ages { no_job, in_job, job_start_margin, dead_session, logs } = ages;
    for (key, span) in [
        ("ages.no_job", no_job),
        ("ages.in_job", in_job),
        ("ages.job_start_margin", job_start_margin),
        ("ages.dead_session", dead_session),
        ("ages.logs", logs),
    ] {
        problems.positive(key, *span);
    }
    problems.unless(
        in_job >= no_job,
        "ages.in_job",
        "must not be shorter than ages.no_job: a leftover is safer where no job is alive",
    );
}

fn check_containers(containers: &Containers, problems: &mut Problems) {
    let Containers { socket, name_pattern, own_temp_roots, timeout } = containers;
    problems.absolute("containers.socket", socket);
    problems.positive("containers.timeout", *timeout);
    if let Err(error) = Glob::new(name_pattern) {
        problems.add(
            "containers.name_pattern",
            format!("{name_pattern:?} is no pattern: {}; such as \"ray-worker*\"", error.kind()),
        );
    }
    for (at, folder) in own_temp_roots.iter().enumerate() {
        problems.absolute(&format!("containers.own_temp_roots[{at}]"), Path::new(folder));
    }
    if let Err(error) = containers.own_temp_roots() {
        problems.add(
            "containers.own_temp_roots",
            format!(
                "{:?} is no pattern: {}; such as \"/data/ray-tmp-*\"",
                error.glob().unwrap_or_default(),
                error.kind()
            ),
        );
    }
}

fn check_bare(bare: &Bare, problems: &mut Problems) {
    let Bare { temp_root, user_id: _ } = bare;
    problems.absolute("bare.temp_root", temp_root);
    problems.unless(
        temp_root.parent().is_some(),
        "bare.temp_root",
        "is the root of the file system: name the folder that holds ray/session_*",
    );
}

fn check_prune(prune: &Prune, problems: &mut Problems) {
    let Prune { mode: _, min_age, keep_label } = prune;
    problems.positive("prune.min_age", *min_age);
    problems.unless(!keep_label.is_empty(), "prune.keep_label", "must name a label, such as raysweep.keep");
}
