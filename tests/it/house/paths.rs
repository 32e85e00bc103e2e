//! Every path that a Rust source names, with the groups of `use` written out. Not a parser: enough
//! of one to know `crate::{a, b::{c}}` from a comment.

/// The paths of a source, each as its segments.
pub(super) fn paths_in(text: &str) -> Vec<Vec<String>> {
    let tokens = tokens(&without_comments_and_texts(text));
    let mut found = vec![];
    let mut at = 0;
    while at < tokens.len() {
        if is_word(&tokens[at]) {
            at = path(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path from `at` on, below `prefix`, with its groups; gives the place after it.
fn path(tokens: &[String], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut segments = prefix.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") if tokens.get(at.wrapping_sub(1)).is_some_and(|before| before == "::") => {
                return group(tokens, at + 1, &segments, found);
            }
            Some(word) if is_word(word) => segments.push(word.to_owned()),
            _ => break,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
    }
    if segments.len() > 1 || !prefix.is_empty() {
        found.push(segments);
    }
    at
}

fn group(tokens: &[String], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "}" => return at + 1,
            // `x as y`: what comes after is a name of its own.
            "as" => at += 2,
            word if is_word(word) => at = path(tokens, at, prefix, found),
            _ => at += 1,
        }
    }
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = vec![];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("::") {
            2
        } else {
            let word =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
            if word > 0 { word } else { first.len_utf8() }
        };
        let (token, after) = rest.split_at(length);
        if !token.trim().is_empty() {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

fn without_comments_and_texts(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped(rest);
        if skipped > 0 {
            plain.push(' ');
            rest = &rest[skipped..];
        } else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    plain
}

/// How long the comment, text or character is that starts here; 0 where none does.
fn skipped(rest: &str) -> usize {
    let until =
        |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until(2, "*/");
    }
    if let Some(raw) = rest.strip_prefix('r').map(|rest| rest.trim_start_matches('#')) {
        let hashes = rest.len() - 1 - raw.len();
        if raw.starts_with('"') {
            return until(hashes + 2, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if rest.starts_with('"') {
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                '"' if !escaped => return at + 1,
                '\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        return rest.len();
    }
    // A character, not a lifetime: '"' would open a text otherwise.
    ["'\"'", "'\\''", "'\\\"'"]
        .iter()
        .find(|quoted| rest.starts_with(**quoted))
        .map_or(0, |quoted| quoted.len())
}
