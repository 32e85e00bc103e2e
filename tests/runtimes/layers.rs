//! An image of so many layers that the runtime names them relatively to a folder of its own.

use std::{fs, path::Path};

use raysweep::domain::report::KeptBecause;

use crate::{
    containers::{Container, docker, docker_ready},
    stand_in::{self, LIVE_ALONE, plant, raylet, text},
    world::{self, run},
};

const IMAGE: &str = "many-layers";
/// With the names in full their options take more than a page, and relatively they fit into one.
const LAYERS: usize = 64;

#[test]
fn leftovers_go_however_many_layers_the_image_has_and_what_lies_in_them_stays() {
    load();
    let container = Container::of(IMAGE, "trainer", &[], &raylet("/opt/raylet", "/tmp/ray"));
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid)).unwrap();
    let upper = mounts.split(',').find_map(|option| option.strip_prefix("upperdir=")).unwrap();
    assert!(!upper.starts_with('/'), "the layers are named in full, so nothing is shown: {upper}");
    fs::write(container.tmp().join("tmptouched"), "more").unwrap();
    let [planted] = plant([&container.tmp()]);

    let swept = stand_in::settings().sweep("trainer");

    assert_eq!(planted.standing(), LIVE_ALONE, "{}", swept.shown());
    for name in ["tmpimage", "tmptouched"] {
        let kept = swept.kept("trainer", &format!("/tmp/{name}"));
        assert_eq!(kept.why, KeptBecause::ImageLayer, "{}", swept.shown());
        assert!(container.tmp().join(name).exists(), "{}", swept.shown());
    }
}

/// Loads an archive whose layers, but for the first, are one file again and again.
fn load() {
    docker_ready();
    let folder = world::dir().join("layers");
    let root = stand_in::image_root("layers-root");
    fs::create_dir_all(root.join("tmp/tmpimage")).unwrap();
    fs::write(root.join("tmp/tmpimage/file"), "of the image").unwrap();
    fs::write(root.join("tmp/tmptouched"), "of the image").unwrap();
    let base = stand_in::packed(&root);
    let small = world::dir().join("layers-small");
    fs::create_dir_all(&small).unwrap();
    fs::write(small.join("file"), "of every layer").unwrap();
    let small = stand_in::packed(&small);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(&base, folder.join("base.tar")).unwrap();
    fs::copy(&small, folder.join("small.tar")).unwrap();
    let layers = |first: String, other: String| {
        let others = std::iter::repeat_n(other, LAYERS);
        std::iter::once(first).chain(others).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(",")
    };
    let digests = layers(digest(&base), digest(&small));
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{digests}]}}}}"#
    );
    fs::write(folder.join("config.json"), config).unwrap();
    let files = layers("base.tar".to_owned(), "small.tar".to_owned());
    let manifest =
        format!(r#"[{{"Config":"config.json","RepoTags":["{IMAGE}:latest"],"Layers":[{files}]}}]"#);
    fs::write(folder.join("manifest.json"), manifest).unwrap();
    let archive = stand_in::packed(&folder);
    docker(&["load", "--quiet", "--input", text(&archive)]);
}

fn digest(file: &Path) -> String {
    let said = run(&["sha256sum", text(file)], "").unwrap();
    format!("sha256:{}", said.split(' ').next().unwrap())
}
