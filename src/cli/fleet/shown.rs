//! How it went, as a table for people or as JSON for programs.

use std::fmt::Write;

use crate::{
    cli::{
        exit::Exit,
        failed,
        text::{self, plain},
    },
    fleet::{
        deploy::{Row, Verified},
        order::{How, OldLine},
    },
};

pub(super) fn print(rows: &[Row], check: bool, json: bool) -> Exit {
    if json {
        return match serde_json::to_string(rows) {
            Ok(line) => text::say(&format!("{line}\n")),
            Err(error) => failed(Exit::Failure, &error),
        };
    }
    let differences = by_hand(rows) + &if check { differences(rows) } else { String::new() };
    let width = text::terminal_width().unwrap_or(u16::MAX);
    text::say(&(differences + &table(rows, width) + &old_lines(rows)))
}

/// What would change, host by host.
fn differences(rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { host, done, .. } in rows.iter().filter(|row| !row.done.changes.is_empty()) {
        for change in &done.changes {
            let _ = writeln!(text, "{host}: {} {}", verb(change.how), plain(&change.what));
            for line in change.diff.lines() {
                let _ = writeln!(text, "    {}", plain(line));
            }
        }
        text.push('\n');
    }
    text
}

/// What somebody has written on a host, and what would become of it.
fn by_hand(rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { host, done, .. } in rows {
        for change in &done.by_hand {
            let _ = writeln!(
                text,
                "{host}: no deploy has written {} as it is; it would become:",
                plain(&change.what)
            );
            for line in change.diff.lines() {
                let _ = writeln!(text, "    {}", plain(line));
            }
            text.push('\n');
        }
    }
    text
}

fn verb(how: How) -> &'static str {
    match how {
        How::Created => "would create",
        How::Changed => "would change",
        How::Removed => "would remove",
    }
}

fn table(rows: &[Row], width: u16) -> String {
    // Where nobody was to try anything, nothing is said of it.
    let is_verified = rows.iter().any(|row| row.verified.is_some());
    let rows = rows.iter().map(|Row { host, state, why, verified, done }| {
        let said: Vec<_> = why.iter().chain(&done.notes).map(|text| plain(text)).collect();
        let changes = if done.changes.is_empty() { "-".to_owned() } else { done.changes.len().to_string() };
        let verified = is_verified.then(|| verified.map_or("-", Verified::as_str).to_owned());
        let cells = [host.to_string(), state.as_str().to_owned(), changes].into_iter();
        cells.chain(verified).chain([said.join("; ")]).collect()
    });
    let header: &[&str] = if is_verified {
        &["host", "state", "changes", "verified", "note"]
    } else {
        &["host", "state", "changes", "note"]
    };
    text::table(header, rows, &[2], width)
}

/// The old script, where cron still starts it or did until now.
fn old_lines(rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { host, done, .. } in rows {
        for OldLine { file, line } in &done.old_cron {
            let file = file.display().to_string();
            let taken = done.changes.iter().any(|change| change.what == file);
            let fate = if taken { "taken out of" } else { "--replace-old-cron takes it out of" };
            let _ = write!(text, "\n{host}: the old script, {fate} {}:\n    {}\n", plain(&file), plain(line));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::fleet::{
        deploy::State,
        order::{Change, Done},
    };

    fn row(host: &str, state: State, why: Option<&str>, done: Done) -> Row {
        Row { host: host.parse().unwrap(), state, why: why.map(str::to_owned), verified: None, done }
    }

    fn rows() -> Vec<Row> {
        let change =
            |what: &str, how, diff: &str| Change { what: what.to_owned(), how, diff: diff.to_owned() };
        let crontab = "/var/spool/cron/crontabs/jo";
        let done = Done {
            changes: vec![
                change("/etc/raysweep/sweep.yml", How::Changed, "-mode: observe\n+mode: enf\u{1b}[1morce\n"),
                change(crontab, How::Changed, ""),
            ],
            notes: vec!["a note".to_owned()],
            old_cron: vec![OldLine { file: crontab.into(), line: "0 * * * * old".to_owned() }],
            by_hand: vec![],
        };
        let left = Done { changes: vec![], notes: vec![], ..done.clone() };
        vec![
            row("ray-80", State::WouldChange, None, done),
            row("ray-81", State::Unchanged, None, left),
            row("ray-82", State::Unreachable, Some("no route"), Done::default()),
        ]
    }

    #[test]
    fn a_check_shows_each_difference() {
        expect![[r#"
            ray-80: would change /etc/raysweep/sweep.yml
                -mode: observe
                +mode: enf\u{1b}[1morce
            ray-80: would change /var/spool/cron/crontabs/jo

        "#]]
        .assert_eq(&differences(&rows()));
    }

    #[test]
    fn what_was_written_by_hand_is_shown_and_what_was_verified_has_a_column() {
        let change = Change { what: "/a".to_owned(), how: How::Changed, diff: "-b\n+c\n".to_owned() };
        let done = Done { by_hand: vec![change], ..Done::default() };
        let yes =
            Row { verified: Some(Verified::Yes), ..row("ray-80", State::Changed, None, Done::default()) };
        let no = Row {
            verified: Some(Verified::No),
            ..row("ray-81", State::Changed, Some("why"), Done::default())
        };
        let rows = [yes, no, row("ray-82", State::Refused, Some("look"), done)];
        assert!(rows[0].is_good() && !rows[1].is_good());
        expect![[r#"
            ray-82: no deploy has written /a as it is; it would become:
                -b
                +c

              host     state     changes   verified   note
            ────────────────────────────────────────────────
              ray-80   changed         -   yes
              ray-81   changed         -   no         why
              ray-82   refused         -   -          look
        "#]]
        .assert_eq(&(by_hand(&rows) + &table(&rows, 100)));
    }

    #[test]
    fn the_table_tells_each_host_and_what_is_left_of_the_old_script() {
        expect![[r#"
              host     state          changes   note
            ──────────────────────────────────────────────
              ray-80   would change         2   a note
              ray-81   unchanged            -
              ray-82   unreachable          -   no route

            ray-80: the old script, taken out of /var/spool/cron/crontabs/jo:
                0 * * * * old

            ray-81: the old script, --replace-old-cron takes it out of /var/spool/cron/crontabs/jo:
                0 * * * * old
        "#]]
        .assert_eq(&(table(&rows(), 100) + &old_lines(&rows())));
    }
}
