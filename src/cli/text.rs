//! Output for people: tables, sizes, and texts from elsewhere that must not drive a terminal.

use std::io::{self, Write};

use bytesize::ByteSize;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle, presets};
use jiff::Timestamp;

use super::{exit::Exit, failed};
pub(super) use crate::domain::line::plain;

/// The width where the terminal does not tell its own.
pub(super) const WIDTH: u16 = 100;

/// Columns without borders, and one line under the header.
const RULED_HEADER: TableStyle = presets::NOTHING.header_separator(LineStyle::new('─', '─', '─', '─'));

/// Prints a text. Whoever has stopped reading (`| head`) is not told any more, and that is no failure.
pub(super) fn say(text: &str) -> Exit {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(Exit::Failure, &format!("standard output: {error}"))
        }
        _ => Exit::Success,
    }
}

/// The terminal's width, if standard output is one.
pub(super) fn terminal_width() -> Option<u16> {
    terminal_size::terminal_size().map(|(width, _)| width.0)
}

/// A table in lines without trailing space. The columns of `numbers` are set to the right.
pub(super) fn table(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    numbers: &[usize],
    width: u16,
) -> String {
    let mut table = Table::new();
    table
        .load_style(RULED_HEADER)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for at in numbers {
        if let Some(column) = table.column_mut(*at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// SI units, as sizes are written in the settings.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

/// To the second, in UTC: hosts and people are in different places.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%F %T").to_string()
}
