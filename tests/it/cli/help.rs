//! The help texts, word for word.

use expect_test::{Expect, expect};

use super::{raysweep, said};

fn check(subcommand: &str, expected: Expect) {
    let mut command = raysweep();
    if !subcommand.is_empty() {
        command.arg(subcommand);
    }
    // clap wraps at the terminal's width; without a terminal it is told one. Its lines may end in
    // spaces, which no editor keeps.
    let said = said(command.env("COLUMNS", "100").arg("--help"));
    let lines: Vec<_> = said.lines().map(str::trim_end).collect();
    expected.assert_eq(&format!("{}\n", lines.join("\n")));
}

#[test]
fn the_help_of_the_program() {
    check(
        "",
        expect![[r#"
            exit 0
            Frees the disk of Ray hosts when Prometheus says so, and never touches what work in progress still
            needs

            Usage: raysweep [OPTIONS] <COMMAND>

            Commands:
              serve         Take Alertmanager's webhooks and sweep the hosts that they name, over SSH
              sweep         On a host: free what Ray left behind, and say why the rest stays
              measure       On a host: measure every worker's temp directory, for node_exporter's textfile
                            collector
              gate          On a host: the one command that the responder's key may run
              replay        Explain what an Alertmanager payload would lead to, or send it to a responder once
                            more
              run           Sweep hosts now, side by side, and show what was freed and why the rest was kept
              hold          Have nothing deleted on hosts, by anyone, until they are released
              release       Take a hold away again, whoever set it
              deploy        Put a host's part in place on hosts of the inventory, over your own SSH login
              undeploy      Take a host's part away from hosts of the inventory: program, settings, account,
                            cron, logs
              doctor        Walk the whole chain, from a host's disk to a sweep of it, and say of each link what
                            to do
              status        Show the incidents that a responder has open
              history       Show what a responder has done: the newest attempts, one attempt in full, or one
                            incident
              close         Close an incident: nothing more is tried for it
              check-config  Check configuration files: the same messages and exit code as `serve` and `sweep`

            Options:
              -h, --help     Print help
              -V, --version  Print version

            Logging:
                  --log.level <LEVEL>    Only log messages of this severity or above; the log goes to standard
                                         error [default: info] [possible values: debug, info, warn, error]
                  --log.format <FORMAT>  How a log line is written [default: text] [possible values: text, json]

            Exit codes:
              0  done, or nothing to do
              1  could not be done
              2  wrong command line
              3  wrong or missing configuration
              4  busy: another sweep runs on this host
              5  held: the host is on hold
              6  refused: a command, a request or a payload that is not taken
              7  needs root
              8  unreachable: no answer from the responder or the host
              9  storage: the journal is damaged, of a later version, or not kept by its disk
              10  differs: a check has found what would be changed
              130  broken off by Ctrl-C (run, doctor)

            Example:
              raysweep sweep --dry-run
        "#]],
    );
}

#[test]
fn the_help_of_sweep() {
    check(
        "sweep",
        expect![[r#"
            exit 0
            On a host: free what Ray left behind, and say why the rest stays

            Usage: raysweep sweep [OPTIONS]

            Options:
                  --dry-run             Say what would be removed, and remove nothing
                  --json                Print the report as one line of JSON
                  --worker <NAME>       Only the worker of this name
                  --trigger <TRIGGER>   Who asks; a sweep for an alert looks at workers below min_tmp_size too
                                        [default: manual] [possible values: alert, cron, manual]
                  --jitter              Wait this host's part of `jitter` first, as its cron job does: not all
                                        hosts begin at once
                  --request <->         Read the request as JSON from standard input (the one command that
                                        `raysweep gate` may run); implies --json [possible values: -]
                  --config.file <FILE>  This host's settings [default: /etc/raysweep/sweep.yml]
              -h, --help                Print help

            Logging:
                  --log.level <LEVEL>    Only log messages of this severity or above; the log goes to standard
                                         error [default: info] [possible values: debug, info, warn, error]
                  --log.format <FORMAT>  How a log line is written [default: text] [possible values: text, json]

            Nothing switches the evidence off: there is no force.

            Example:
              raysweep sweep --dry-run --worker ray-worker-1
        "#]],
    );
}

#[test]
fn the_help_of_measure() {
    check(
        "measure",
        expect![[r#"
        exit 0
        On a host: measure every worker's temp directory, for node_exporter's textfile collector

        Usage: raysweep measure [OPTIONS]

        Options:
              --textfile <FILE>     The file to write, by a rename, so that it is never read half; standard
                                    output without it
              --config.file <FILE>  This host's settings [default: /etc/raysweep/sweep.yml]
          -h, --help                Print help

        Logging:
              --log.level <LEVEL>    Only log messages of this severity or above; the log goes to standard
                                     error [default: info] [possible values: debug, info, warn, error]
              --log.format <FORMAT>  How a log line is written [default: text] [possible values: text, json]

        Example:
          raysweep measure --textfile /run/raysweep/raysweep.prom
    "#]],
    );
}

#[test]
fn the_help_of_gate() {
    check(
        "gate",
        expect![[r#"
            exit 0
            On a host: the one command that the responder's key may run

            Takes what the caller asked for from SSH_ORIGINAL_COMMAND and a request from standard input, checks
            both, and hands the request to root's `raysweep sweep --request -`.

            Usage: raysweep gate [OPTIONS]

            Options:
              -h, --help
                      Print help (see a summary with '-h')

            Logging:
                  --log.level <LEVEL>
                      Only log messages of this severity or above; the log goes to standard error
          
                      [default: info]
                      [possible values: debug, info, warn, error]

                  --log.format <FORMAT>
                      How a log line is written
          
                      [default: text]
                      [possible values: text, json]

            Example, in the account's authorized_keys:
              restrict,from="10.0.0.0/8",command="/usr/local/bin/raysweep gate" ssh-ed25519 AAAA…
        "#]],
    );
}

#[test]
fn the_help_of_check_config() {
    check(
        "check-config",
        expect![[r#"
            exit 0
            Check configuration files: the same messages and exit code as `serve` and `sweep`

            Usage: raysweep check-config [OPTIONS] [FILE]...

            Arguments:
              [FILE]...  The responder's configuration [default: /etc/raysweep/raysweep.yml, unless --sweep is
                         given]

            Options:
                  --sweep <FILE>            A host's settings (sweep.yml); may be given several times
                  --web.config.file <FILE>  The web configuration file that `serve` is given beside the
                                            responder's configuration
              -h, --help                    Print help

            Logging:
                  --log.level <LEVEL>    Only log messages of this severity or above; the log goes to standard
                                         error [default: info] [possible values: debug, info, warn, error]
                  --log.format <FORMAT>  How a log line is written [default: text] [possible values: text, json]

            Example:
              raysweep check-config raysweep.yml --sweep sweep.yml
        "#]],
    );
}

#[test]
fn a_wrong_command_line_has_its_own_exit_code() {
    for arguments in [
        &["nonsense"][..],
        &["sweep", "--force"],
        &["sweep", "--request", "file"],
        &["sweep", "--request", "-", "--dry-run"],
        &["sweep", "--request", "-", "--trigger", "cron"],
        &["sweep", "--trigger", "root"],
        &[],
    ] {
        raysweep().args(arguments).assert().code(2);
    }
}

#[test]
fn the_help_of_serve() {
    check(
        "serve",
        expect![[r#"
            exit 0
            Take Alertmanager's webhooks and sweep the hosts that they name, over SSH

            Usage: raysweep serve [OPTIONS]

            Options:
                  --config.file <FILE>
                      The responder's configuration and inventory [default: /etc/raysweep/raysweep.yml]
                  --storage.path <FOLDER>
                      The folder of the journal; what was accepted survives in it [default: /var/lib/raysweep]
                  --web.listen-address <ADDRESS:PORT>
                      Where to listen, instead of the address in the configuration
                  --web.config.file <FILE>
                      TLS, client certificates and users, in the format of Prometheus' exporter-toolkit; read
                      anew for each connection and request
              -h, --help
                      Print help

            Logging:
                  --log.level <LEVEL>    Only log messages of this severity or above; the log goes to standard
                                         error [default: info] [possible values: debug, info, warn, error]
                  --log.format <FORMAT>  How a log line is written [default: text] [possible values: text, json]

            SIGTERM and SIGINT end it within timing.stop_grace. SIGHUP and POST /-/reload read the configuration
            again; a bad one changes nothing. A new listen address and other flags take a restart.

            Example:
              raysweep serve --config.file /etc/raysweep/raysweep.yml --storage.path /var/lib/raysweep
        "#]],
    );
}

#[test]
fn the_help_of_replay() {
    check(
        "replay",
        expect![[r#"
            exit 0
            Explain what an Alertmanager payload would lead to, or send it to a responder once more

            A file is explained: each alert is shown with its host, its policy, what would happen and why. With
            --url it is sent, and the responder makes one attempt on each host, whatever its incidents say. An
            incident or a notification is what the responder received; it is sent to it again, or with --dry-run
            explained by today's configuration. Of an incident it is what opened it, without the alerts of other
            hosts.

            Usage: raysweep replay [OPTIONS] <FILE|ID>

            Arguments:
              <FILE|ID>
                      The payload, - for standard input; or the number of an incident, or the identity of a
                      notification. A file that is there comes first

            Options:
                  --dry-run
                      Explain only, even with --url

                  --json
                      Print the explanation as JSON

                  --url <URL>
                      Send it to the responder that listens there; an ID is asked for there as well, and without
                      --url where a responder listens by default

                  --bearer-token-file <FILE>
                      The file with the bearer token that the responder wants

                  --http.config.file <FILE>
                      A user or a token, a certificate to show and the authority to trust, in the format of
                      Prometheus' HTTP clients

                  --config.file <FILE>
                      The configuration with the policies and the inventory to explain by

                      [default: /etc/raysweep/raysweep.yml]

              -h, --help
                      Print help (see a summary with '-h')

            Logging:
                  --log.level <LEVEL>
                      Only log messages of this severity or above; the log goes to standard error

                      [default: info]
                      [possible values: debug, info, warn, error]

                  --log.format <FORMAT>
                      How a log line is written

                      [default: text]
                      [possible values: text, json]

            Example:
              raysweep replay payload.json
              raysweep replay 12 --dry-run
              raysweep replay --url http://127.0.0.1:9095 --bearer-token-file /etc/raysweep/token payload.json
        "#]],
    );
}

#[test]
fn the_help_of_deploy() {
    check(
        "deploy",
        expect![[r#"
            exit 0
            Put a host's part in place on hosts of the inventory, over your own SSH login

            Each host gets this very program, its sweep.yml, the account with the responder's key, one sudoers
            line, cron, logrotate and the link for node_exporter, all of it or nothing. What is as it should be
            is left alone. Your ssh must know the host and let you in without a question; root is reached by
            sudo.

            Usage: raysweep deploy [OPTIONS] [HOST]...

            Arguments:
              [HOST]...
                      The hosts, by their names in the inventory

            Options:
                  --all
                      All hosts of the inventory

                  --check
                      Show what would be changed, and change nothing

                  --json
                      Print what was done as one line of JSON

                  --config.file <FILE>
                      The configuration with the inventory

                      [default: /etc/raysweep/raysweep.yml]

                  --mode <MODE>
                      What the hosts may do, instead of what the inventory says

                      [possible values: observe, enforce]

                  --replace-old-cron
                      Take the old script's line out of the hosts' crontabs

                  --accept-host-key <SHA256:…>
                      A host key that you have seen and take for a host's own; may be given several times

                  --overwrite-settings
                      Put the inventory's settings in the place of a sweep.yml that no deploy has written as it
                      is

                  --no-verify
                      Do not log in to each host with the responder's key in the end

              -h, --help
                      Print help (see a summary with '-h')

            Passage:
                  --user <NAME>
                      Whom to log in as, instead of deploy.user or what your ssh configuration says

                  --ask-sudo-pass
                      Ask once for the password that sudo wants

                  --parallel <HOSTS>
                      So many hosts at once

                      [default: 8]

                  --max-failures <HOSTS>
                      Begin no other host after so many have failed

                  --timeout <DURATION>
                      How long one command on a host may take

                      [default: 3m]

            Logging:
                  --log.level <LEVEL>
                      Only log messages of this severity or above; the log goes to standard error

                      [default: info]
                      [possible values: debug, info, warn, error]

                  --log.format <FORMAT>
                      How a log line is written

                      [default: text]
                      [possible values: text, json]

            A host observes unless its settings in the inventory or --mode say otherwise.

            The responder is told of a host's key only after you have seen its fingerprint: at the
            terminal, or by --accept-host-key. With deploy.host_ca_file the CA is what it is told of.

            The inventory is where a host's settings are changed. A sweep.yml that was changed on the host,
            or put there by hand, is shown, and the host is left alone without --overwrite-settings.

            In the end the responder's key is tried where it can be read: "verified" is yes where it has
            come to the host's gate. A host where it has not is a failure.

            Example:
              raysweep deploy --all --check
              raysweep deploy ray-80 ray-81 --mode enforce --replace-old-cron
        "#]],
    );
}

#[test]
fn the_help_of_undeploy() {
    check(
        "undeploy",
        expect![[r#"
            exit 0
            Take a host's part away from hosts of the inventory: program, settings, account, cron, logs

            A sweep that runs ends by itself. An account that is in use is named; a second run takes it. On the
            responder's own host the program stays. Lines of the old script that deploy took out of crontabs are
            put back, and the key that it pinned for the responder is taken out, unless other hosts are reached
            by it.

            Usage: raysweep undeploy [OPTIONS] [HOST]...

            Arguments:
              [HOST]...
                      The hosts, by their names in the inventory

            Options:
                  --all
                      All hosts of the inventory

                  --check
                      Show what would be changed, and change nothing

                  --json
                      Print what was done as one line of JSON

                  --config.file <FILE>
                      The configuration with the inventory

                      [default: /etc/raysweep/raysweep.yml]

                  --drop-old-cron
                      Do not put back the old script's lines that deploy took out of the hosts' crontabs

              -h, --help
                      Print help (see a summary with '-h')

            Passage:
                  --user <NAME>
                      Whom to log in as, instead of deploy.user or what your ssh configuration says

                  --ask-sudo-pass
                      Ask once for the password that sudo wants

                  --parallel <HOSTS>
                      So many hosts at once

                      [default: 8]

                  --max-failures <HOSTS>
                      Begin no other host after so many have failed

                  --timeout <DURATION>
                      How long one command on a host may take

                      [default: 3m]

            Logging:
                  --log.level <LEVEL>
                      Only log messages of this severity or above; the log goes to standard error

                      [default: info]
                      [possible values: debug, info, warn, error]

                  --log.format <FORMAT>
                      How a log line is written

                      [default: text]
                      [possible values: text, json]

            Example:
              raysweep undeploy ray-80 --check
              raysweep undeploy ray-80
        "#]],
    );
}

#[test]
fn the_help_of_doctor() {
    check(
        "doctor",
        expect![[r#"
        exit 0
        Walk the whole chain, from a host's disk to a sweep of it, and say of each link what to do

        Hosts are looked at over your own SSH login, as `deploy` does it; nothing is changed there. The
        responder's key is tried as well where you may read it. What nobody says where to find is not asked.

        Usage: raysweep doctor [OPTIONS] [HOST]...

        Arguments:
          [HOST]...
                  The hosts, by their names in the inventory; all of them where none is named

        Options:
              --json
                  Print one object for each link as one line of JSON

              --send-test-alert
                  Send an alert that does nothing through Alertmanager, and see it arrive

              --config.file <FILE>
                  The configuration with the inventory

                  [default: /etc/raysweep/raysweep.yml]

              --prometheus.url <URL>
                  Where Prometheus answers, instead of what the configuration says

              --alertmanager.url <URL>
                  Where Alertmanager answers, instead of what the configuration says

          -h, --help
                  Print help (see a summary with '-h')

        Passage:
              --user <NAME>
                  Whom to log in as, instead of deploy.user or what your ssh configuration says

              --ask-sudo-pass
                  Ask once for the password that sudo wants

              --parallel <HOSTS>
                  So many hosts at once

                  [default: 16]

              --timeout <DURATION>
                  How long one command on a host may take, and a test alert on its way

                  [default: 1m]

        Responder:
              --url <URL>
                  Where the responder listens

                  [default: http://127.0.0.1:9095]

              --bearer-token-file <FILE>
                  The file with the bearer token that the responder wants

              --http.config.file <FILE>
                  A user or a token, a certificate to show and the authority to trust, in the format of
                  Prometheus' HTTP clients

        Logging:
              --log.level <LEVEL>
                  Only log messages of this severity or above; the log goes to standard error

                  [default: info]
                  [possible values: debug, info, warn, error]

              --log.format <FORMAT>
                  How a log line is written

                  [default: text]
                  [possible values: text, json]

        Ends with 0 where no link is broken, with 3 where the configuration is, else with 1.
        docs/doctor.md tells of each link.

        Example:
          raysweep doctor
          raysweep doctor ray-80 --prometheus.url http://127.0.0.1:9090 --send-test-alert
    "#]],
    );
}

#[test]
fn the_help_of_status() {
    check(
        "status",
        expect![[r#"
            exit 0
            Show the incidents that a responder has open

            Usage: raysweep status [OPTIONS]

            Options:
              -h, --help  Print help

            Responder:
                  --url <URL>                 Where the responder listens [default: http://127.0.0.1:9095]
                  --bearer-token-file <FILE>  The file with the bearer token that the responder wants
                  --http.config.file <FILE>   A user or a token, a certificate to show and the authority to
                                              trust, in the format of Prometheus' HTTP clients

            Logging:
                  --log.level <LEVEL>    Only log messages of this severity or above; the log goes to standard
                                         error [default: info] [possible values: debug, info, warn, error]
                  --log.format <FORMAT>  How a log line is written [default: text] [possible values: text, json]

            Example:
              raysweep status --url http://127.0.0.1:9095
        "#]],
    );
}

#[test]
fn the_help_of_history() {
    check(
        "history",
        expect![[r#"
            exit 0
            Show what a responder has done: the newest attempts, one attempt in full, or one incident

            Without an attempt's identity the newest attempts are listed, of those that fit every filter. With
            one, that attempt is shown in full: each worker's verdict with its evidence, what was removed, what
            was kept and why.

            Usage: raysweep history [OPTIONS] [ATTEMPT]

            Arguments:
              [ATTEMPT]
                      Show this attempt in full

            Options:
                  --incident <ID>
                      Show this incident with its alerts and what happened in it

                  --host <HOST>
                      Only this host's

                  --since <WHEN>
                      Only what was asked for since then: a span back from now such as 2d, or an instant such as
                      2026-01-05T10:00:00Z (UTC without a zone)

                  --until <WHEN>
                      Only what was asked for before then

                  --outcome <OUTCOME>
                      Only what ended so; may be given several times

                      [possible values: freed, would_free, nothing_to_free, active, held, busy, refused,
                      unreachable, unknown, failed]

                  --trigger <TRIGGER>
                      Only what was asked for by this

                      [possible values: alert, cron, manual]

                  --limit <ROWS>
                      So many of them

                      [default: 50]

                  --json
                      Print the objects of the responder's API, one a line; in lists without what hosts reported

              -h, --help
                      Print help (see a summary with '-h')

            Responder:
                  --url <URL>
                      Where the responder listens

                      [default: http://127.0.0.1:9095]

                  --bearer-token-file <FILE>
                      The file with the bearer token that the responder wants

                  --http.config.file <FILE>
                      A user or a token, a certificate to show and the authority to trust, in the format of
                      Prometheus' HTTP clients

            On a host:
                  --local
                      Read this host's own log, rotated files too, a line a worker; no responder is asked

                  --follow
                      Go on with each sweep that ends, until Ctrl-C

                  --worker <NAME>
                      Only this worker's lines

                  --grep <TEXT>
                      Only lines that hold this text

                  --config.file <FILE>
                      This host's settings, which say where the log lies

                      [default: /etc/raysweep/sweep.yml]

            Logging:
                  --log.level <LEVEL>
                      Only log messages of this severity or above; the log goes to standard error

                      [default: info]
                      [possible values: debug, info, warn, error]

                  --log.format <FORMAT>
                      How a log line is written

                      [default: text]
                      [possible values: text, json]

            Example:
              raysweep history --host ray-80 --since 2d --outcome active --outcome failed
              raysweep history 01890a5d-ac96-774b-bcce-b302099a8057
              raysweep history --incident 12
              raysweep history --local --follow --worker ray-worker-1
        "#]],
    );
}

#[test]
fn the_help_of_run() {
    check(
        "run",
        expect![[r#"
            exit 0
            Sweep hosts now, side by side, and show what was freed and why the rest was kept

            The responder does it where one listens: its limits hold for the number of hosts at once, its
            history has the attempts, and no incident is touched. Where nobody listens at its address, or with
            --direct, it goes over your own SSH login, and root is reached by sudo. What a host may delete is
            its own setting.

            Usage: raysweep run [OPTIONS] [HOST]...

            Arguments:
              [HOST]...
                      The hosts, by their names in the inventory

            Options:
                  --all
                      All hosts of the inventory

                  --dry-run
                      Say what would be removed, and remove nothing

                  --json
                      Print one line of JSON for each host, with its whole report

              -h, --help
                      Print help (see a summary with '-h')

            Responder:
                  --url <URL>
                      Where the responder listens

                      [default: http://127.0.0.1:9095]

                  --bearer-token-file <FILE>
                      The file with the bearer token that the responder wants

                  --http.config.file <FILE>
                      A user or a token, a certificate to show and the authority to trust, in the format of
                      Prometheus' HTTP clients

                  --wait <DURATION>
                      Give up waiting once no attempt has begun or ended for so long

                      [default: 15m]

            Directly:
                  --direct
                      Ask no responder: go over your own SSH login

                  --user <NAME>
                      Whom to log in as, instead of deploy.user or what your ssh configuration says

                  --ask-sudo-pass
                      Ask once for the password that sudo wants

                  --parallel <HOSTS>
                      So many hosts at once, 16 unless it is said

                  --config.file <FILE>
                      The configuration with the inventory

                      [default: /etc/raysweep/raysweep.yml]

            Logging:
                  --log.level <LEVEL>
                      Only log messages of this severity or above; the log goes to standard error

                      [default: info]
                      [possible values: debug, info, warn, error]

                  --log.format <FORMAT>
                      How a log line is written

                      [default: text]
                      [possible values: text, json]

            Ctrl-C: through the responder the attempts go on there; directly, sweeps under way are told
            to end, and give back what they have detached. A second one waits for nothing.

            Example:
              raysweep run ray-80 ray-81
              raysweep run --all --dry-run
        "#]],
    );
}

#[test]
fn the_help_of_hold() {
    check(
        "hold",
        expect![[r#"
            exit 0
            Have nothing deleted on hosts, by anyone, until they are released

            Over your own SSH login. Every sweep there, whoever starts it, ends as held and says the reason; it
            is measured and alerted on as before. A sweep that is at work ends before its next batch, and the
            table says that there is one.

            Usage: raysweep hold [OPTIONS] [HOST]...

            Arguments:
              [HOST]...
                      The hosts, by their names in the inventory

            Options:
                  --all
                      All hosts of the inventory

                  --check
                      Show what would be changed, and change nothing

                  --json
                      Print what was done as one line of JSON

                  --config.file <FILE>
                      The configuration with the inventory

                      [default: /etc/raysweep/raysweep.yml]

                  --reason <TEXT>
                      Why, for everybody who asks; maintenance, where nothing is said

              -h, --help
                      Print help (see a summary with '-h')

            Passage:
                  --user <NAME>
                      Whom to log in as, instead of deploy.user or what your ssh configuration says

                  --ask-sudo-pass
                      Ask once for the password that sudo wants

                  --parallel <HOSTS>
                      So many hosts at once

                      [default: 8]

                  --max-failures <HOSTS>
                      Begin no other host after so many have failed

                  --timeout <DURATION>
                      How long one command on a host may take

                      [default: 3m]

            Logging:
                  --log.level <LEVEL>
                      Only log messages of this severity or above; the log goes to standard error

                      [default: info]
                      [possible values: debug, info, warn, error]

                  --log.format <FORMAT>
                      How a log line is written

                      [default: text]
                      [possible values: text, json]

            Who and when is added to the reason. A host that is held stays as it is, unless another
            reason is given.

            Example:
              raysweep hold ray-80 --reason 'disk swap, back at noon'
        "#]],
    );
}

#[test]
fn the_help_of_release() {
    check(
        "release",
        expect![[r#"
        exit 0
        Take a hold away again, whoever set it

        Over your own SSH login. A host that is not held is left as it is.

        Usage: raysweep release [OPTIONS] [HOST]...

        Arguments:
          [HOST]...
                  The hosts, by their names in the inventory

        Options:
              --all
                  All hosts of the inventory

              --check
                  Show what would be changed, and change nothing

              --json
                  Print what was done as one line of JSON

              --config.file <FILE>
                  The configuration with the inventory

                  [default: /etc/raysweep/raysweep.yml]

          -h, --help
                  Print help (see a summary with '-h')

        Passage:
              --user <NAME>
                  Whom to log in as, instead of deploy.user or what your ssh configuration says

              --ask-sudo-pass
                  Ask once for the password that sudo wants

              --parallel <HOSTS>
                  So many hosts at once

                  [default: 8]

              --max-failures <HOSTS>
                  Begin no other host after so many have failed

              --timeout <DURATION>
                  How long one command on a host may take

                  [default: 3m]

        Logging:
              --log.level <LEVEL>
                  Only log messages of this severity or above; the log goes to standard error

                  [default: info]
                  [possible values: debug, info, warn, error]

              --log.format <FORMAT>
                  How a log line is written

                  [default: text]
                  [possible values: text, json]

        Example:
          raysweep release ray-80 ray-81
    "#]],
    );
}

#[test]
fn the_help_of_close() {
    check(
        "close",
        expect![[r#"
            exit 0
            Close an incident: nothing more is tried for it

            For one that stands on a mistake, such as an alert with another host's name. What is under way for
            it goes on to its end. An alert of it that is received again, firing, opens a new incident: to have
            it quiet for longer, silence the alert in Alertmanager.

            Usage: raysweep close [OPTIONS] <INCIDENT>

            Arguments:
              <INCIDENT>
                      The incident, by the number that the page and `history --json` have

            Options:
              -h, --help
                      Print help (see a summary with '-h')

            Responder:
                  --url <URL>
                      Where the responder listens

                      [default: http://127.0.0.1:9095]

                  --bearer-token-file <FILE>
                      The file with the bearer token that the responder wants

                  --http.config.file <FILE>
                      A user or a token, a certificate to show and the authority to trust, in the format of
                      Prometheus' HTTP clients

            Logging:
                  --log.level <LEVEL>
                      Only log messages of this severity or above; the log goes to standard error

                      [default: info]
                      [possible values: debug, info, warn, error]

                  --log.format <FORMAT>
                      How a log line is written

                      [default: text]
                      [possible values: text, json]

            Example:
              raysweep close 12
    "#]],
    );
}
