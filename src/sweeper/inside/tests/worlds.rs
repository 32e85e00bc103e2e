//! In mount namespaces made for a test, as in a container. Only root can make them.

use std::{collections::BTreeSet, fs, path::Path};

use super::harness::{DEADLINE, World, id, look, wait_for};
use crate::{
    domain::attempt::AttemptId,
    sweeper::{
        discover::{Runtime, Worker},
        inside::{Inside, InsideError},
    },
};

/// An overlay at `$SCRATCH/m`, its layers on this machine as a runtime keeps them.
const CONTAINER: &str = r#"
cd "$SCRATCH"
mkdir -p lower/tmp/image/deep lower/old lower/bin lower/proc upper work m
echo image > lower/tmp/image/file
echo image > lower/tmp/imagefile
echo image > lower/tmp/touched
mount -t overlay overlay -o "lowerdir=$SCRATCH/lower,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" m
mkdir -p m/tmp/tmpown/sub m/tmp/image/new m/tmp/bound m/bind
echo own > m/tmp/tmpown/sub/file
echo own > m/tmp/tmpfile
echo more >> m/tmp/touched
echo kept > m/bind/kept
"#;

#[test]
fn what_lies_in_an_image_layer_is_told_and_not_copied_up() {
    let Some(world) = World::start(CONTAINER) else { return };
    let root = format!("{}/m/tmp", world.scratch.display());
    let mut inside = world.enter(&root);
    let mut image_layer =
        |name: &str| look(&mut inside, Path::new(name), &BTreeSet::new()).unwrap().image_layer;
    assert!(!image_layer("tmpown"));
    assert!(!image_layer("tmpfile"));
    assert!(image_layer("image"));
    assert!(image_layer("image/file"));
    assert!(!image_layer("image/new"));
    assert!(image_layer("imagefile"));
    assert!(image_layer("touched"));
    let file = id(&world.path(&format!("{root}/imagefile")));
    let detached = inside.detach(Path::new("imagefile"), file, AttemptId::now());
    assert!(matches!(detached, Err(InsideError::System(why)) if why.contains("image layer")));
    assert!(!Path::new(&format!("{}/upper/tmp/imagefile", world.scratch.display())).exists());
}

/// The sweep itself may run in mounts of its own, as a service with a private `/tmp` does.
#[test]
fn a_symlink_to_the_temp_root_is_followed_in_a_container_and_refused_on_the_bare_host() {
    let script = r#"cd "$SCRATCH"; mkdir real; ln -s real link"#;
    let Some(world) = World::start(script) else { return };
    let link = world.scratch.join("link");
    let enter = |runtime| Inside::enter(&Worker { runtime, ..world.worker() }, &link, DEADLINE);
    assert!(enter(Runtime::Docker).is_ok());
    let refused = enter(Runtime::Bare);
    assert!(matches!(&refused, Err(InsideError::RootRefused(why)) if why.contains("symlink")), "{refused:?}");
}

#[test]
fn a_mount_in_a_tree_is_seen_and_survives_its_removal() {
    let script = format!(
        "{CONTAINER}
        mkdir -p m/tmp/tmpown/mnt; touch m/tmp/tmpown/mfile
        mount --bind m/bind m/tmp/tmpown/mnt
        mount --bind m/bind/kept m/tmp/tmpown/mfile"
    );
    let Some(world) = World::start(&script) else { return };
    let root = format!("{}/m/tmp", world.scratch.display());
    let mut inside = world.enter(&root);
    let tree = look(&mut inside, Path::new("tmpown"), &BTreeSet::new()).unwrap();
    assert!(tree.mount.unwrap().starts_with("tmpown"));
    let detached = inside.detach(Path::new("tmpown"), tree.id, AttemptId::now()).unwrap();
    let deleted = inside.delete(&detached, tree.id).unwrap();
    assert!(!deleted.complete);
    assert_eq!(deleted.errors.len(), 2, "{:?}", deleted.errors);
    drop(inside);
    assert!(world.path(&format!("{}/m/bind/kept", world.scratch.display())).exists());
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", world.pid)).unwrap();
    assert_eq!(mounts.lines().filter(|line| line.contains("/m/tmp/")).count(), 2, "{mounts}");
    let left = world.path(&root).join("tmpown");
    assert!(left.join("mnt").exists(), "what cannot go has its name back");
    assert!(!left.join("sub").exists(), "its siblings are gone");
}

#[test]
fn a_mounted_entry_is_neither_detached_nor_deleted() {
    let script = format!("{CONTAINER}\nmount --bind m/bind m/tmp/bound");
    let Some(world) = World::start(&script) else { return };
    let root = format!("{}/m/tmp", world.scratch.display());
    let mut inside = world.enter(&root);
    let entries = inside.list(Path::new(""), &[], 1000).unwrap().entries;
    let bound = entries.iter().find(|entry| entry.path == Path::new("bound")).unwrap();
    assert!(bound.mounted);
    assert!(inside.detach(&bound.path, bound.id, AttemptId::now()).is_err());
    let tree = look(&mut inside, &bound.path, &BTreeSet::new()).unwrap();
    assert_eq!((tree.mount.as_deref(), tree.files), (Some(Path::new("bound")), 0));
}

#[test]
fn a_file_is_found_in_use_through_the_overlay() {
    let Some(world) = World::start(CONTAINER) else { return };
    let root = format!("{}/m/tmp", world.scratch.display());
    let path = world.path(&format!("{root}/tmpown/sub/file"));
    let _held = fs::File::open(&path).unwrap();
    let in_use = BTreeSet::from([id(&path)]);
    let mut inside = world.enter(&root);
    let tree = look(&mut inside, Path::new("tmpown"), &in_use).unwrap();
    assert_eq!(tree.in_use, in_use.iter().copied().collect::<Vec<_>>());
    // As an older kernel shows it: the layer's own device and inode.
    let below = id(Path::new(&format!("{}/upper/tmp/tmpown/sub/file", world.scratch.display())));
    assert_ne!(below.dev, tree.id.dev);
    let tree = look(&mut inside, Path::new("tmpown"), &BTreeSet::from([below])).unwrap();
    assert_eq!(tree.in_use, [below]);
}

#[test]
fn a_use_that_cannot_be_told_on_an_overlay_of_several_file_systems_is_no_rest() {
    let script = r#"
        cd "$SCRATCH"
        mkdir lower upper work m
        mount -t tmpfs tmpfs lower
        mount -t overlay overlay -o "lowerdir=$SCRATCH/lower,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" m
        mkdir -p m/tmp/tmpown
        echo own > m/tmp/tmpown/file"#;
    let Some(world) = World::start(script) else { return };
    let root = format!("{}/m/tmp", world.scratch.display());
    let path = world.path(&format!("{root}/tmpown/file"));
    let _held = fs::File::open(&path).unwrap();
    let mut inside = world.enter(&root);
    let tree = look(&mut inside, Path::new("tmpown"), &BTreeSet::from([id(&path)]));
    assert!(!matches!(&tree, Ok(tree) if tree.in_use.is_empty()), "{tree:?}");
}

/// Whoever removes a container takes its files away next: a rename or a delete among them would make that
/// fail.
#[test]
fn a_worker_that_ends_has_its_names_back_and_is_let_be_at_once() {
    let Some(mut world) = World::start(r#"mkdir "$SCRATCH/tmp1" "$SCRATCH/tmp2""#) else { return };
    let mut inside = world.enter(world.scratch.to_str().unwrap());
    let [tmp1, tmp2] = ["tmp1", "tmp2"].map(|name| id(&world.scratch.join(name)));
    inside.detach(Path::new("tmp1"), tmp1, AttemptId::now()).unwrap();

    world.end();

    let ended = wait_for("the child to notice", || inside.disk().err());
    assert!(matches!(&ended, InsideError::NotTheWorker(why) if why.contains("has ended")), "{ended}");
    assert!(world.scratch.join("tmp1").exists(), "it has its name back");
    assert!(inside.detach(Path::new("tmp2"), tmp2, AttemptId::now()).is_err());
    assert!(world.scratch.join("tmp2").exists());
}
