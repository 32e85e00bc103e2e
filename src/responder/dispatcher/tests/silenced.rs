//! What Alertmanager says, between the question and the attempt.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
};

use super::*;
use crate::config::responder::Alertmanager;

/// An Alertmanager that answers once: nothing is silenced.
fn alertmanager() -> Alertmanager {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Some(format!("http://{}", listener.local_addr().unwrap()));
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let asked = BufReader::new(peer.try_clone().unwrap()).lines();
        assert_ne!(asked.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).count(), 0);
        peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]").unwrap();
    });
    Alertmanager { url, ..Alertmanager::default() }
}

#[test]
fn what_alertmanager_said_counts_however_long_the_journal_is_waited_for() {
    run(async {
        let mut stage = Stage::new().await;
        let metrics = Arc::clone(&stage.dispatcher.metrics);
        let silences = Silences::new(alertmanager(), &Policies::default(), metrics);
        stage.reload(|changed| changed.silences = silences).await;
        stage.send("ray-80", Urgency::Warning, AlertStatus::Firing).await;
        assert!(stage.dispatcher.claim().await.unwrap().ask);
        let silences = stage.dispatcher.silences.as_ref().unwrap();
        let somebodys = stage.dispatcher.journal.begin().await.unwrap();
        silences.ask().await;
        let claim = stage.dispatcher.claim();
        let slow = async {
            while silences.known(Instant::now()).is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            drop(somebodys);
        };
        let (claimed, ()) = tokio::join!(claim, slow);
        let claimed = claimed.unwrap();
        assert!(!claimed.ask, "asked again and again, and nothing begins");
        assert_eq!(stage.dispatcher.tell(claimed).len(), 1);
    });
}
