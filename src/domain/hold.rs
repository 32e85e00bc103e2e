//! A hold, as its file says it: the sweep that it stops and whoever looks at the host read it alike.

/// So many characters of a reason are told.
const CHARACTERS: usize = 200;

/// Why a host is on hold, by the text of its file: what can be shown of the first line. A text may say
/// nothing; it is a hold all the same.
pub fn reason(text: &str) -> Option<String> {
    let first = text.lines().next().unwrap_or_default().trim();
    let said: String = first.chars().filter(|c| !c.is_control()).take(CHARACTERS).collect();
    (!said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_first_line_and_drives_no_terminal() {
        for (text, said) in [
            ("disk swap, back at noon\nmore", Some("disk swap, back at noon")),
            ("  a \u{1b}[2Jb \n", Some("a [2Jb")),
            ("", None),
            (" \nmore", None),
            ("\u{7}\n", None),
        ] {
            assert_eq!(reason(text).as_deref(), said, "{text:?}");
        }
        assert_eq!(reason(&"ä".repeat(300)), Some("ä".repeat(200)));
    }
}
