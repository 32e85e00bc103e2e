//! A page is at hand on a slow line as well, whatever it tells of: of each list it shows what matters most, and
//! so much of it as there is room for.

use askama::Template;

/// What a page may weigh; with style and script it stays below 100 kB.
pub(super) const MOST_BYTES: usize = 88_500;
/// So many entries of each list are shown where there is room for them.
const ENTRIES: usize = 100;

/// A page with so many entries of each list that it weighs no more than it may.
pub(super) fn fitting<T: Template>(make: impl Fn(usize) -> T) -> askama::Result<String> {
    let mut most = ENTRIES;
    loop {
        let html = make(most).render()?;
        if html.len() <= MOST_BYTES || most == 1 {
            return Ok(html);
        }
        // A little fewer than by proportion: not all of a page is lists.
        most = (most * MOST_BYTES / html.len() * 9 / 10).clamp(1, most - 1);
    }
}

/// What is shown of a list, and what is not.
#[derive(Debug)]
pub(super) struct Part<T> {
    pub(super) shown: Vec<T>,
    pub(super) rest: Vec<T>,
}

impl<T> Part<T> {
    /// So many of a list that begins with what matters. Half of the places are for its beginning; of what comes
    /// behind, those that somebody should see come first.
    pub(super) fn of(list: Vec<T>, most: usize, mut should_be_seen: impl FnMut(&T) -> bool) -> Self {
        if list.len() <= most {
            return Self { shown: list, rest: vec![] };
        }
        let wanted: Vec<bool> = list.iter().map(&mut should_be_seen).collect();
        let half = most.div_ceil(2);
        let behind = || wanted.iter().enumerate().skip(half);
        let first = behind().filter(|(_, wanted)| **wanted).chain(behind().filter(|(_, wanted)| !**wanted));
        let mut places: Vec<bool> = (0..list.len()).map(|at| at < half).collect();
        for (at, _) in first.take(most - half) {
            places[at] = true;
        }
        let (mut shown, mut rest) = (vec![], vec![]);
        for (entry, has_place) in list.into_iter().zip(places) {
            let part = if has_place { &mut shown } else { &mut rest };
            part.push(entry);
        }
        Self { shown, rest }
    }

    /// So many from its beginning.
    pub(super) fn first(list: Vec<T>, most: usize) -> Self {
        Self::of(list, most, |_| false)
    }

    /// How many are not shown, where some are not.
    pub(super) fn more(&self) -> Option<String> {
        let count = self.rest.len();
        (count > 0).then(|| format!("{count} more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_list_its_beginning_is_shown_and_what_somebody_should_see() {
        let part = |most, wanted: fn(&usize) -> bool| Part::of((0..10).collect(), most, wanted).shown;
        let all: Vec<_> = (0..10).collect();
        assert_eq!(part(10, |_| false), all);
        assert_eq!(part(11, |_| true), all);
        assert_eq!(part(4, |_| false), [0, 1, 2, 3]);
        assert_eq!(part(4, |at| *at >= 7), [0, 1, 7, 8]);
        assert_eq!(part(5, |at| *at == 9), [0, 1, 2, 3, 9]);
        assert_eq!(part(4, |at| *at == 0), [0, 1, 2, 3]);
        assert_eq!(part(1, |at| *at == 9), [0]);
        let Part { shown, rest } = Part::first(all, 3);
        assert_eq!((shown.len(), rest.len()), (3, 7));
        assert_eq!(Part { shown, rest }.more().as_deref(), Some("7 more"));
        assert_eq!(Part::first(vec![1], 1).more(), None);
    }
}
