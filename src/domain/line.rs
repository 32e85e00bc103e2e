//! Text from elsewhere, made fit for a log's line and a terminal.

use std::fmt::{self, Write};

/// So many characters of it are shown.
const CHARACTERS: usize = 300;

/// One line of bounded length: whoever wrote the text cannot begin another one. What drives a terminal
/// is escaped, and what is too long is cut off.
pub fn line(text: &(impl fmt::Display + ?Sized)) -> String {
    line_within(text, CHARACTERS)
}

/// One line of another length.
pub fn line_within(text: &(impl fmt::Display + ?Sized), characters: usize) -> String {
    let mut line = Line { text: String::new(), left: characters };
    // It fails once the line is full: whatever comes after that is not even made.
    if write!(line, "{text}").is_err() {
        line.text.push('…');
    }
    line.text
}

/// Control characters, and those that turn the direction of writing, as escapes.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut plain, c));
    plain
}

struct Line {
    text: String,
    left: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            push(&mut self.text, c);
        }
        Ok(())
    }
}

fn push(plain: &mut String, c: char) {
    let drives = c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if drives {
        plain.extend(c.escape_unicode());
    } else {
        plain.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_a_text_it_is_one_line_of_bounded_length() {
        assert_eq!(line("as it is: ä \"b\""), "as it is: ä \"b\"");
        assert_eq!(line("a\nb\r\u{1b}[2J\u{2028}\u{202e}"), r"a\u{a}b\u{d}\u{1b}[2J\u{2028}\u{202e}");
        assert_eq!(line(&"ä".repeat(CHARACTERS)), "ä".repeat(CHARACTERS));
        let cut = line(&"\n".repeat(1_000_000));
        assert_eq!((cut.matches(r"\u{a}").count(), cut.ends_with('…')), (CHARACTERS, true));
    }
}
