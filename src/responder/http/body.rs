//! A request's body, as a whole: bounded in length, in time and in what all bodies hold together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::header::CONTENT_LENGTH,
};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::connections::Slot;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than is read.
    #[error("the body is longer than is read here")]
    TooLong,
    /// It came in pieces that are none.
    #[error("the body did not come whole")]
    Broken,
    /// It stood still.
    #[error("the body did not come in time")]
    Late,
    /// Others hold all that is there for bodies.
    #[error("too many bodies are being read: send it again")]
    Crowded,
    /// It is there, but so many requests are worked on that it is not.
    #[error("too many requests are under way: send it again")]
    Busy,
}

/// How much a body may be and take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The longest body.
    pub body_bytes: u64,
    /// What all of them may hold together.
    pub bodies_bytes: u64,
    /// How long one may stand still.
    pub pause: Duration,
}

/// What all bodies hold.
#[derive(Debug, Default)]
pub struct Bodies {
    held_bytes: AtomicU64,
}

/// A body that came whole. What it held is free again when it is dropped.
#[derive(Debug)]
pub struct Whole {
    bytes: Vec<u8>,
    share: Share,
}

impl Whole {
    /// What was sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[derive(Debug)]
struct Share {
    bodies: Arc<Bodies>,
    bytes: u64,
}

impl Share {
    fn grow(&mut self, by: u64, most: u64) -> Result<(), BodyError> {
        let grown = |held: u64| held.checked_add(by).filter(|held| *held <= most);
        self.bodies
            .held_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, grown)
            .map_err(|_| BodyError::Crowded)?;
        self.bytes += by;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.held_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Reads a request's body to its end.
pub async fn read(bodies: &Arc<Bodies>, request: Request, bounds: Bounds) -> Result<Whole, BodyError> {
    let slot = request.extensions().get::<Arc<Slot>>().cloned();
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bounds.body_bytes) {
        return Err(BodyError::TooLong);
    }
    let whole = collect(bodies, request.into_body(), bounds).await?;
    if let Some(slot) = slot {
        slot.is_whole();
        if !slot.has_room() {
            return Err(BodyError::Busy);
        }
    }
    Ok(whole)
}

async fn collect(bodies: &Arc<Bodies>, body: Body, bounds: Bounds) -> Result<Whole, BodyError> {
    let share = Share { bodies: Arc::clone(bodies), bytes: 0 };
    // No memory for what was only announced.
    let mut whole = Whole { bytes: vec![], share };
    if body.is_end_stream() {
        return Ok(whole);
    }
    let mut pieces = body.into_data_stream();
    loop {
        let piece = timeout(bounds.pause, pieces.next()).await.map_err(|_| BodyError::Late)?;
        let Some(piece) = piece else { return Ok(whole) };
        let piece = piece.map_err(|_| BodyError::Broken)?;
        if (whole.bytes.len() + piece.len()) as u64 > bounds.body_bytes {
            return Err(BodyError::TooLong);
        }
        whole.share.grow(piece.len() as u64, bounds.bodies_bytes)?;
        whole.bytes.extend_from_slice(&piece);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    const BOUNDS: Bounds = Bounds { body_bytes: 8, bodies_bytes: 12, pause: Duration::from_secs(10) };

    fn pieces(pieces: &[&'static [u8]]) -> Body {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, Infallible>(*piece)).collect();
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_end_and_no_further_than_its_bound() {
        let bodies = Arc::new(Bodies::default());
        let whole = collect(&bodies, pieces(&[b"abcd", b"", b"efgh"]), BOUNDS).await.unwrap();
        assert_eq!(whole.bytes(), b"abcdefgh");
        drop(whole);
        let too_long = collect(&bodies, pieces(&[b"abcd", b"efgh", b"i"]), BOUNDS).await;
        assert_eq!(too_long.unwrap_err(), BodyError::TooLong);
        assert_eq!(bodies.held_bytes.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn bodies_share_what_there_is_and_give_it_back() {
        let bodies = Arc::new(Bodies::default());
        let first = collect(&bodies, pieces(&[b"abcdefgh"]), BOUNDS).await.unwrap();
        let second = collect(&bodies, pieces(&[b"abcd", b"e"]), BOUNDS).await;
        assert_eq!(second.unwrap_err(), BodyError::Crowded);
        drop(first);
        collect(&bodies, pieces(&[b"abcd", b"e"]), BOUNDS).await.unwrap();
        assert_eq!(bodies.held_bytes.load(Ordering::Acquire), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_given_up() {
        let bodies = Arc::new(Bodies::default());
        let first = stream::iter([Ok::<_, Infallible>(b"abcd".as_slice())]);
        let stuck = Body::from_stream(first.chain(stream::pending()));
        assert_eq!(collect(&bodies, stuck, BOUNDS).await.unwrap_err(), BodyError::Late);
        assert_eq!(bodies.held_bytes.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn a_body_that_is_announced_too_long_is_not_waited_for() {
        let bodies = Arc::new(Bodies::default());
        let never = Body::from_stream(stream::pending::<Result<&'static [u8], Infallible>>());
        let request = Request::builder().header(CONTENT_LENGTH, "9").body(never).unwrap();
        assert_eq!(read(&bodies, request, BOUNDS).await.unwrap_err(), BodyError::TooLong);
    }
}
