//! A mount inside what looks like a leftover.

use raysweep::domain::report::KeptBecause;

use crate::{
    stage::{MOUNT_POINT, MOUNTED, at_rest, exists, mounted_folder, sh, wait_until_older},
    sweeping::Settings,
};

/// A delete from the host's side would unmount it without a word.
#[test]
fn a_folder_with_a_mount_in_it_stays_and_so_do_the_mount_and_what_is_mounted() {
    at_rest();
    let file = mounted_folder().join("treasure");
    std::fs::write(&file, "the host's own").unwrap();
    let around = MOUNT_POINT.rsplit_once('/').unwrap().0;
    sh(MOUNTED, &format!("echo beside >{around}/beside")).unwrap();
    wait_until_older(MOUNTED, &[around], 3);

    let swept = Settings::default().sweep(MOUNTED);

    assert_eq!(swept.kept(MOUNTED, around).why, KeptBecause::Mount, "{}", swept.shown());
    let mounted = sh(MOUNTED, &format!("grep -c ' {MOUNT_POINT} ' /proc/self/mountinfo"));
    assert_eq!(mounted.unwrap(), "1", "the mount is gone inside: {}", swept.shown());
    let inside = sh(MOUNTED, &format!("cat {MOUNT_POINT}/treasure"));
    assert_eq!(inside.unwrap(), "the host's own", "{}", swept.shown());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the host's own");
    assert!(exists(MOUNTED, &format!("{around}/beside")), "{}", swept.shown());
}
