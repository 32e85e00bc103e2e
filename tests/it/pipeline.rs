//! The shipped pipeline: what it names is there, and what it calls takes what it is called with.

use std::{collections::BTreeSet, fs, path::Path};

use yaml_rust2::{Yaml, YamlLoader};

use super::cli::raysweep;

/// What GitLab knows at the top of the file beside jobs, of what stands there.
const GLOBAL: [&str; 3] = ["stages", "default", "variables"];

/// What GitLab knows in a job, of what stands there.
const KEYWORDS: [&str; 14] = [
    "allow_failure",
    "artifacts",
    "before_script",
    "cache",
    "environment",
    "extends",
    "needs",
    "resource_group",
    "rules",
    "script",
    "stage",
    "tags",
    "timeout",
    "variables",
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn pipeline() -> Yaml {
    YamlLoader::load_from_str(&read("deploy/gitlab-ci.yml")).unwrap().remove(0)
}

fn keys(yaml: &Yaml) -> Vec<&str> {
    yaml.as_hash().unwrap().keys().map(|key| key.as_str().unwrap()).collect()
}

/// The names of all jobs, also of those that are only there to be extended.
fn jobs(pipeline: &Yaml) -> Vec<&str> {
    keys(pipeline).into_iter().filter(|name| !GLOBAL.contains(name)).collect()
}

/// What a job has under a key, by itself or from what it extends.
fn value<'a>(pipeline: &'a Yaml, job: &str, key: &str) -> &'a Yaml {
    let own = &pipeline[job][key];
    match pipeline[job]["extends"].as_str() {
        Some(extended) if own.is_badvalue() => value(pipeline, extended, key),
        _ => own,
    }
}

fn texts(yaml: &Yaml) -> Vec<&str> {
    yaml.as_vec().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// Under which conditions a job is there, and under all of which at once: none where it always is.
fn conditions<'a>(pipeline: &'a Yaml, job: &str) -> Vec<Vec<&'a str>> {
    let rules = value(pipeline, job, "rules").as_vec().into_iter().flatten();
    rules.map(|rule| rule["if"].as_str().into_iter().flat_map(|all| all.split(" && ")).collect()).collect()
}

/// All lines of all scripts.
fn lines(pipeline: &Yaml) -> Vec<&str> {
    let scripts = jobs(pipeline).into_iter().chain(["default"]);
    scripts
        .flat_map(|job| ["before_script", "script"].map(|key| &pipeline[job][key]))
        .flat_map(texts)
        .collect()
}

/// Whether our own command line takes these words, as a shell would hand them over.
fn is_taken(line: &str) -> bool {
    let line = line.replace('"', "").replace("$RAYSWEEP_ACCEPT", "--accept-host-key SHA256:x");
    raysweep().args(line.split(' ').skip(1)).arg("--help").output().unwrap().status.success()
}

#[test]
fn every_job_is_made_of_what_gitlab_knows_and_names_what_is_there() {
    let pipeline = pipeline();
    let stages = texts(&pipeline["stages"]);
    let jobs = jobs(&pipeline);
    for job in &jobs {
        for key in keys(&pipeline[*job]) {
            assert!(KEYWORDS.contains(&key), "{job}: {key}");
        }
        let extended = &pipeline[*job]["extends"];
        assert!(extended.is_badvalue() || jobs.contains(&extended.as_str().unwrap()), "{job}: {extended:?}");
        for needed in value(&pipeline, job, "needs").as_vec().into_iter().flatten() {
            assert!(jobs.contains(&needed.as_str().unwrap()), "{job}: {needed:?}");
        }
        if !job.starts_with('.') {
            assert!(stages.contains(&value(&pipeline, job, "stage").as_str().unwrap()), "{job}");
            assert!(!texts(value(&pipeline, job, "script")).is_empty(), "{job}");
        }
    }
    let used: BTreeSet<_> = jobs.iter().filter_map(|job| pipeline[*job]["stage"].as_str()).collect();
    assert_eq!(used, stages.into_iter().collect());
}

#[test]
fn hosts_are_changed_by_hand_only_in_an_environment_and_one_deploy_at_a_time() {
    let pipeline = pipeline();
    let mut environments = BTreeSet::new();
    for job in jobs(&pipeline).into_iter().filter(|job| !job.starts_with('.')) {
        let script = texts(value(&pipeline, job, "script"));
        let deploys =
            script.iter().any(|line| line.starts_with("raysweep deploy") && !line.contains("--check"));
        let manual = value(&pipeline, job, "rules").as_vec().into_iter().flatten();
        let manual: Vec<_> = manual.map(|rule| rule["when"].as_str() == Some("manual")).collect();
        assert_eq!(deploys, manual == [true], "{job}");
        assert_eq!(deploys, pipeline[job]["resource_group"].as_str().is_some(), "{job}");
        if deploys {
            environments.insert(pipeline[job]["environment"]["name"].as_str().unwrap());
        }
    }
    assert_eq!(environments.into_iter().collect::<Vec<_>>(), ["production", "staging"]);
}

#[test]
fn whoever_may_push_a_branch_has_not_the_login_of_the_environments() {
    let pipeline = pipeline();
    let mut logged_in = 0;
    for job in jobs(&pipeline).into_iter().filter(|job| !job.starts_with('.')) {
        let has_login =
            texts(value(&pipeline, job, "before_script")).iter().any(|line| line.contains("SSH_KEY"));
        let is_of_one = !value(&pipeline, job, "environment").is_badvalue();
        assert_eq!(has_login, is_of_one, "{job}: the login is an environment's own");
        if is_of_one {
            let conditions = conditions(&pipeline, job);
            assert!(!conditions.is_empty(), "{job}: it runs everywhere");
            for condition in conditions {
                assert!(condition.contains(&r#"$CI_COMMIT_REF_PROTECTED == "true""#), "{job}: {condition:?}");
            }
            logged_in += 1;
        }
    }
    assert_eq!(logged_in, 4, "a check and a deploy for each environment");
    let text = read("deploy/gitlab-ci.yml");
    let (head, _) = text.split_once("\nstages:").unwrap();
    assert!(
        head.contains("Protected"),
        "else a variable is given to each branch whatever its jobs say: {head}"
    );
}

#[test]
fn where_a_job_is_there_are_the_jobs_that_it_needs() {
    let pipeline = pipeline();
    for job in jobs(&pipeline).into_iter().filter(|job| !job.starts_with('.')) {
        for needed in texts(value(&pipeline, job, "needs")) {
            for needs in conditions(&pipeline, needed).concat() {
                for has in conditions(&pipeline, job) {
                    // A branch that is the default one is a branch.
                    let holds = has.iter().any(|has| has.starts_with(needs));
                    assert!(holds, "{job} is there without {needed} unless {needs}");
                }
            }
        }
    }
}

/// The checks that a deploy waits for.
fn checks(pipeline: &Yaml) -> Vec<&str> {
    let checks = |job: &&str| {
        let script = texts(value(pipeline, job, "script"));
        script.iter().any(|line| line.starts_with("raysweep deploy") && line.contains("--check"))
    };
    let needed = jobs(pipeline).into_iter().flat_map(|job| texts(value(pipeline, job, "needs")));
    needed.filter(checks).collect()
}

/// Whether the deploy that needs this check can be started when it has ended so.
fn lets_deploy(pipeline: &Yaml, check: &str, code: i32) -> bool {
    let allowed = value(pipeline, check, "allow_failure")["exit_codes"].as_vec().unwrap();
    code == 0 || allowed.iter().any(|allowed| allowed.as_i64() == Some(code.into()))
}

/// The exit code of a check's last line, over an inventory of a host at whose port nobody listens.
fn checked(pipeline: &Yaml, check: &str, inventory: &str) -> i32 {
    let folder = tempfile::tempdir().unwrap();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJlIGtpbmQgdG8gdGhlIG5leHQgcGVyc29uIGhlcmUh\n";
    fs::write(folder.path().join("id.pub"), key).unwrap();
    let file = folder.path().join("raysweep.yml");
    let files = "ssh: { identity_file: /nonexistent/id, known_hosts_file: /nonexistent/known_hosts }";
    let host = "hosts: [{ name: ray-80, address: 127.0.0.1, port: 1 }]";
    fs::write(&file, format!("{files}\n{inventory}\n{host}\n")).unwrap();
    // Its code is the script's only where nothing comes after it.
    let line = texts(value(pipeline, check, "script")).pop().unwrap();
    let (command, named) = line.rsplit_once(' ').unwrap();
    assert_eq!(named, r#""environments/$CI_ENVIRONMENT_NAME/raysweep.yml""#, "{check}");
    let mut raysweep = raysweep();
    raysweep.args(command.split(' ').skip(1)).arg(file);
    raysweep.env("PATH", "/usr/bin:/bin");
    raysweep.env("RAYSWEEP__DEPLOY__PUBLIC_KEY_FILE", folder.path().join("id.pub"));
    raysweep.output().unwrap().status.code().unwrap()
}

#[test]
fn a_host_that_is_down_keeps_no_other_from_being_deployed_and_a_wrong_inventory_does() {
    let pipeline = pipeline();
    let checks = checks(&pipeline);
    assert_eq!(checks.len(), 2, "each environment's deploy needs its check");
    for check in checks {
        let down = checked(&pipeline, check, "deploy: { from: [192.0.2.10] }");
        assert_eq!(down, 8, "{check}: the host does not answer");
        assert!(lets_deploy(&pipeline, check, down), "{check}: one host that is down stops all of them");
        for wrong in [
            "",
            "deploy: { from: [192.0.2.10] }\ntimings: {}",
            "deploy: { from: [192.0.2.10], sweep: { mode: never } }",
        ] {
            let code = checked(&pipeline, check, wrong);
            assert!(!lets_deploy(&pipeline, check, code), "{check}: {code} of a wrong inventory: {wrong}");
        }
    }
}

#[test]
fn a_check_fails_by_what_is_no_hosts_and_by_nothing_that_is() {
    let pipeline = pipeline();
    let help = String::from_utf8(raysweep().arg("--help").output().unwrap().stdout).unwrap();
    for check in checks(&pipeline) {
        for (code, meaning) in [
            (1, "could not be done"),
            (6, "refused: "),
            (8, "unreachable: "),
            (10, "differs: a check has found what would be changed"),
        ] {
            assert!(help.contains(&format!(" {code}  {meaning}")), "{code} is another: {help}");
            assert!(lets_deploy(&pipeline, check, code), "{check}: {code}, {meaning}");
        }
        // The command line, the configuration, a signal; the shell's own, and apt's.
        for code in [2, 3, 7, 9, 100, 126, 127, 130, 137] {
            assert!(!lets_deploy(&pipeline, check, code), "{check}: {code}");
        }
    }
}

#[test]
fn a_login_that_is_not_there_is_said_and_is_no_hosts_fault() {
    let pipeline = pipeline();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    fs::write(&here, "something\n").unwrap();
    let none = folder.path().join("none");
    for check in checks(&pipeline) {
        let first = texts(value(&pipeline, check, "before_script"))[0];
        let ends = |key: &Path, known_hosts: Option<&Path>| {
            let mut shell = std::process::Command::new("bash");
            shell
                .args(["-euo", "pipefail", "-c", first])
                .env("RAYSWEEP_SSH_KEY", key)
                .env("CI_ENVIRONMENT_NAME", "x");
            shell.env_remove("RAYSWEEP_SSH_KNOWN_HOSTS");
            shell.envs(known_hosts.map(|file| ("RAYSWEEP_SSH_KNOWN_HOSTS", file)));
            let ended = shell.output().unwrap();
            (ended.status.code().unwrap(), String::from_utf8(ended.stderr).unwrap())
        };
        assert_eq!(ends(&here, Some(&here)).0, 0);
        for (key, known_hosts) in [(&none, Some(&*here)), (&here, Some(&*none)), (&here, None)] {
            let (code, said) = ends(key, known_hosts);
            assert!(code != 0 && !lets_deploy(&pipeline, check, code), "{check}: {code}");
            assert!(said.contains("RAYSWEEP_SSH_KEY") && said.contains("Protected"), "{said}");
        }
    }
}

#[test]
fn what_a_pipeline_asks_needs_none_of_the_responders_secrets() {
    let pipeline = pipeline();
    for line in lines(&pipeline) {
        assert!(!line.starts_with("raysweep check-config"), "it reads the responder's secret files: {line}");
    }
}

#[test]
fn our_own_commands_take_what_the_pipeline_calls_them_with() {
    let pipeline = pipeline();
    let commands: Vec<_> =
        lines(&pipeline).into_iter().filter(|line| line.starts_with("raysweep ")).collect();
    assert!(commands.len() >= 2, "{commands:?}");
    for command in commands {
        assert!(is_taken(command), "{command}");
    }
    assert!(!is_taken("raysweep deploy --all --chek"));
    assert!(!is_taken("raysweep redeploy --all"));
}

#[test]
fn the_steps_targets_and_scripts_of_the_pipeline_are_there() {
    let pipeline = pipeline();
    let (all, makefile) = (read("tests/all.sh"), read("Makefile"));
    let mut looked_at = 0;
    for line in lines(&pipeline) {
        let (steps, command) = match line.strip_prefix("STEPS=") {
            Some(rest) if rest.starts_with('"') => rest[1..].split_once("\" ").unwrap(),
            Some(rest) => rest.split_once(' ').unwrap(),
            None => ("", line),
        };
        for step in steps.split_whitespace() {
            assert!(all.contains(&format!("\nstep {step} ")), "{line}: {step}");
            looked_at += 1;
        }
        let first = command.split(' ').next().unwrap();
        if first.contains('/') {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(first).is_file(), "{line}");
            looked_at += 1;
        }
        if let Some(target) = command.strip_prefix("make ") {
            assert!(makefile.contains(&format!("\n{target}: ")), "{line}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 15, "only {looked_at} were found");
}
