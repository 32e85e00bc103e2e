//! Hosts that a person wants swept now.

use futures_util::FutureExt;

use super::*;

#[tokio::test]
async fn a_wish_asks_for_one_attempt_on_each_host_of_the_inventory_and_tells_once_of_each_other_name() {
    let stage = Stage::new().await;
    // An alert would mean ray-81 by its name with a port. A person has named no host with it.
    let named = ["ray-81", "ray-99", "ray-80", "ray-81:9100", "ray-81", "ray-99"].map(str::to_owned);
    let Wished { hosts } = stage.intake.sweep_now(&named, false).await.unwrap();
    let said: Vec<_> = hosts.iter().map(|host| (&*host.host, host.error.as_deref())).collect();
    assert_eq!(said[..2], [("ray-81", None), ("ray-99", Some("\"ray-99\" is no host of the inventory"))]);
    let with_port = Some("\"ray-81:9100\" is no host of the inventory");
    assert_eq!(said[2..], [("ray-80", None), ("ray-81:9100", with_port)]);

    let queued = stage.intake.journal.attempts(None, 10).await.unwrap();
    assert!(
        queued.iter().all(|view| (view.incident, &view.replay, &*view.trigger) == (None, &None, "manual"))
    );
    let queued: BTreeSet<_> = queued.into_iter().map(|view| (view.host, view.id)).collect();
    let asked = hosts.into_iter().filter_map(|host| Some((host.host, host.attempt?.to_string())));
    assert_eq!(queued, asked.collect());
    assert_eq!(queued.len(), 2);
    assert!(stage.intake.wake.notified().now_or_never().is_some(), "the dispatcher sleeps on");
}
