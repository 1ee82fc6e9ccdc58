use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::left::{HomeState, Mark, Thing, sort};
use super::*;
use crate::model::docker::{Mount, PullPolicy, RunnerMode, WorkspaceMode};
use crate::model::settings::PoolSettings;
use std::sync::Arc;

const URL: &str = "unix:///var/run/docker.sock";

fn settings(pools: &[(&str, Resources, DockerSettings)]) -> Settings {
    let pool = |(name, resources, docker): &(&str, Resources, DockerSettings)| {
        let backend = PoolBackend::Docker(Arc::new(docker.clone()));
        (name.to_string(), PoolSettings { slots: 1, resources: resources.clone(), backend })
    };
    Settings { pools: pools.iter().map(pool).collect(), ..Settings::default() }
}

/// An engine that has everything: Docker 20.10 on this machine.
fn able() -> Facts {
    Facts {
        version: "20.10.24".to_owned(),
        api: Some((1, 41)),
        engine: EngineFacts { is_local: true, ..EngineFacts::default() },
        cgroup: Some(2),
        limits: Limits { memory: true, swap: true, cpus: true, pids: true },
        live_restore: true,
        runtimes: ["runc".to_owned()].into(),
        networks: ["bridge".to_owned(), "4b2c8d1e9f00aa".to_owned()].into(),
        images: BTreeMap::from([("x".to_owned(), Some(ImageFacts::here()))]),
        ..Facts::default()
    }
}

impl ImageFacts {
    fn here() -> ImageFacts {
        ImageFacts { os: "linux".to_owned(), architecture: String::new() }
    }
}

fn here(uid: u32) -> Here {
    Here { own: (uid, uid), guarded: Guarded::default(), missing: BTreeSet::new() }
}

/// Level and text of each finding for these pools, as somebody with the user id 1000.
fn judged(pools: &[(&str, Resources, DockerSettings)], answer: &Result<Facts, Trouble>) -> Vec<(Level, String)> {
    judged_by(&here(1000), pools, answer)
}

fn judged_by(here: &Here, pools: &[(&str, Resources, DockerSettings)], answer: &Result<Facts, Trouble>) -> Vec<(Level, String)> {
    let settings = settings(pools);
    let sites = sites(&settings, &BTreeMap::from([("DOCKER_HOST".to_owned(), URL.to_owned())]));
    let all = sites.iter().flat_map(|site| findings(site, answer, here));
    all.map(|it| (it.level, format!("{}: {} -> {}", it.what, it.found, it.remedy))).collect()
}

fn one(docker: DockerSettings) -> [(&'static str, Resources, DockerSettings); 1] {
    [("box", Resources::default(), docker)]
}

/// What is worse than well about a pool on an engine.
fn complaints(docker: DockerSettings, facts: Facts) -> Vec<(Level, String)> {
    judged(&one(docker), &Ok(facts)).into_iter().filter(|(level, _)| *level != Level::Ok).collect()
}

fn complaint(docker: DockerSettings, facts: Facts) -> (Level, String) {
    let mut all = complaints(docker, facts);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn an_engine_is_asked_once_whoever_names_it() {
    let named = DockerSettings { host: Some(URL.to_owned()), ..DockerSettings::of("y") };
    let far = DockerSettings { host: Some("tcp://127.0.0.1:2375".to_owned()), ..DockerSettings::of("z") };
    let all = [
        ("a", Resources::default(), DockerSettings::of("x")),
        ("b", Resources::default(), named),
        ("c", Resources::default(), far),
    ];
    let settings = settings(&all);
    let sites = sites(&settings, &BTreeMap::from([("DOCKER_HOST".to_owned(), URL.to_owned())]));
    let told: Vec<_> = sites.iter().map(|site| (site.url.as_str(), site.users(), site.docker())).collect();
    assert_eq!(
        told,
        [
            (URL, "pools a, b".to_owned(), "docker".to_owned()),
            ("tcp://127.0.0.1:2375", "pool c".to_owned(), "docker -H tcp://127.0.0.1:2375".to_owned())
        ]
    );
    assert!(super::sites(&Settings::default(), &BTreeMap::new()).is_empty());
}

#[test]
fn what_cannot_be_reached_or_is_too_old_is_one_failure_with_its_remedy() {
    let told = |answer| {
        let mut all = judged(&one(DockerSettings::of("x")), &answer);
        assert_eq!((all.len(), all[0].0), (1, Level::Fail), "{all:?}");
        all.remove(0).1
    };
    assert!(told(Err(Trouble::NoSocket)).contains("no such socket; nothing starts there -> start the engine"));
    let denied = told(Err(Trouble::Denied));
    assert!(denied.contains("group docker") && denied.contains("rootless engine"), "{denied}");
    assert!(told(Err(Trouble::Refused)).contains("is it running?"));
    assert!(told(Err(Trouble::Hangs)).contains("within 5 s"));
    assert!(told(Err(Trouble::Other("what".to_owned()))).contains("what"));
    let old = told(Ok(Facts { version: "19.03.1".to_owned(), api: Some((1, 40)), ..able() }));
    assert!(old.contains("Docker 19.03.1 (API 1.40), older than Engine 20.10") && old.contains("install"), "{old}");
    assert!(told(Ok(Facts { api: None, ..able() })).contains("not understood"));
}

#[test]
fn an_engine_that_has_everything_gets_no_complaint() {
    let all = judged(&one(DockerSettings::of("x")), &Ok(able()));
    assert!(all.iter().all(|(level, _)| *level == Level::Ok), "{all:?}");
    assert!(all[0].1.contains("Docker 20.10.24 (API 1.41), cgroup v2, enforces memory, cpus, pids"), "{all:?}");
    assert!(all[1].1.contains("network default (bridge)") && all[1].1.contains("user 1000:1000"), "{all:?}");
}

#[test]
fn limits_that_do_not_hold_name_the_pools_that_set_them() {
    let limited = Resources { memory: Some(1 << 30), ..Resources::default() };
    let all = [("big", limited, DockerSettings::of("x")), ("box", Resources::default(), DockerSettings::of("x"))];
    let weak = |limits, is_rootless| {
        let engine = EngineFacts { is_local: true, is_rootless, ..EngineFacts::default() };
        let found = judged(&all, &Ok(Facts { limits, engine, ..able() }));
        found.into_iter().filter(|(level, _)| *level == Level::Warn).map(|(_, text)| text).collect::<Vec<_>>()
    };
    let none = weak(Limits::default(), false);
    assert_eq!(none.len(), 3, "{none:?}");
    assert!(none[0].contains("`memory` of pool big is not") && none[0].contains("cgroup_enable=memory"), "{none:?}");
    assert!(none[1].contains("no pool sets one") && none[2].contains("`pids` of pools big, box is not"), "{none:?}");
    assert!(weak(Limits::default(), true).iter().all(|text| text.contains("Delegate=")));
    let soft = weak(Limits { swap: false, ..able().limits }, false);
    assert!(soft.len() == 1 && soft[0].contains("`memory` of pool big slows"), "{soft:?}");
}

#[test]
fn an_init_is_missed_only_where_it_is_needed_and_the_engine_says_so() {
    let lacking = || Facts { lacks_init: true, ..able() };
    assert_eq!(complaints(DockerSettings::of("x"), lacking()), []);
    for needing in [
        DockerSettings { init: true, ..DockerSettings::of("x") },
        DockerSettings { runner: RunnerMode::None, ..DockerSettings::of("x") },
    ] {
        let (level, text) = complaint(needing, lacking());
        assert!(level == Level::Warn && text.contains("docker-init") && text.contains("pool box"), "{text}");
    }
}

#[test]
fn without_live_restore_an_upgrade_of_the_engine_is_warned_of_except_where_there_is_no_daemon() {
    let (level, text) = complaint(DockerSettings::of("x"), Facts { live_restore: false, ..able() });
    assert!(level == Level::Warn && text.contains("live-restore") && text.contains("daemon.json"), "{text}");
    let engine = EngineFacts { is_local: true, is_podman: true, ..EngineFacts::default() };
    assert_eq!(complaints(DockerSettings::of("x"), Facts { live_restore: false, engine, ..able() }), []);
}

#[test]
fn an_image_that_is_missing_is_pulled_or_has_to_be_built() {
    let pool = |image: &str, pull| DockerSettings { pull, ..DockerSettings::of(image) };
    let (level, text) = complaint(pool("y:1", PullPolicy::Never), able());
    assert!(level == Level::Fail && text.contains("docker build -t y:1") && text.contains("docker load"), "{text}");
    let (level, text) = complaint(pool("localhost/airx-runner", PullPolicy::Missing), able());
    assert!(level == Level::Warn && text.contains("make docker-image"), "{text}");
    for (image, pull, said) in
        [("y:1", PullPolicy::Missing, "first attempt pulls it"), ("y:1", PullPolicy::Always, "before each attempt")]
    {
        let all = judged(&one(pool(image, pull)), &Ok(able()));
        assert!(all[1].0 == Level::Ok && all[1].1.contains(said), "{all:?}");
    }
}

#[test]
fn an_image_of_another_system_means_the_reduced_mode() {
    let other = ImageFacts { os: "linux".to_owned(), architecture: "s390x".to_owned() };
    let facts = || Facts { images: BTreeMap::from([("x".to_owned(), Some(other.clone()))]), ..able() };
    let (level, text) = complaint(DockerSettings::of("x"), facts());
    assert!(level == Level::Warn && text.contains("reduced mode") && text.contains("linux/s390x"), "{text}");
    let meant = DockerSettings { runner: RunnerMode::None, ..DockerSettings::of("x") };
    assert!(judged(&one(meant), &Ok(facts()))[1].1.contains("runner: none"));
}

#[test]
fn networks_runtimes_and_workspaces_that_cannot_be_are_failures() {
    let on = |name: &str| DockerSettings { network: Some(name.to_owned()), ..DockerSettings::of("x") };
    let (level, text) = complaint(on("nowhere"), able());
    assert!(level == Level::Fail && text.contains("docker network create nowhere"), "{text}");
    for there in ["none", "bridge", "4b2c8d1e9f00aa", "4b2c8d1e9f00"] {
        assert_eq!(complaints(on(there), able()), [], "{there}");
    }
    let all = judged(&one(DockerSettings::of("x")), &Ok(Facts { networks: BTreeSet::new(), ..able() }));
    assert!(all[1].1.contains("has no bridge"), "{all:?}");

    let mut other = DockerSettings::of("x");
    other.overrides.runtime = Some("runsc".to_owned());
    assert!(complaint(other, able()).1.contains("it has runc"));
    let engine = EngineFacts::default();
    let bound = DockerSettings { workspace: WorkspaceMode::Bind, ..DockerSettings::of("x") };
    let (level, text) = complaint(bound, Facts { engine, ..able() });
    assert!(level == Level::Fail && text.contains("or write copy"), "{text}");
}

#[test]
fn mounts_are_looked_for_where_they_can_be_seen() {
    let mount = |source: &str| Mount { source: source.to_owned(), target: "/data".into(), read_only: false };
    let pool = DockerSettings { mounts: vec![mount("/gone"), mount("/run/it"), mount("cargo")], ..DockerSettings::of("x") };
    let here = Here {
        guarded: Guarded { sockets: vec!["/run/it/docker.sock".into()], private: Vec::new() },
        missing: [PathBuf::from("/gone")].into(),
        ..here(1000)
    };
    let facts = || Facts { missing_volumes: ["cargo".to_owned()].into(), ..able() };
    let told = judged_by(&here, &one(pool.clone()), &Ok(facts()));
    let failed: Vec<_> = told.iter().filter(|(level, _)| *level == Level::Fail).collect();
    assert!(failed.len() == 2 && failed[0].1.contains("/gone") && failed[1].1.contains("docker.sock"), "{told:?}");
    let far = judged_by(&here, &one(pool), &Ok(Facts { engine: EngineFacts::default(), ..facts() }));
    assert!(far.iter().all(|(level, _)| *level == Level::Ok), "{far:?}");
    assert!(far[1].1.contains("cargo is made") && far[1].1.contains("not looked for"), "{far:?}");
}

#[test]
fn a_user_who_cannot_be_given_the_attempts_directory_is_a_failure() {
    let of = |user: &str| one(DockerSettings { user: Some(user.to_owned()), ..DockerSettings::of("x") });
    let worst = |uid, pools: &[(&str, Resources, DockerSettings)]| {
        let told = judged_by(&here(uid), pools, &Ok(able()));
        told.into_iter().find(|(level, _)| *level != Level::Ok)
    };
    let (level, text) = worst(1000, &of("1001:1001")).unwrap();
    assert!(level == Level::Fail && text.contains("only root") && text.contains("take `user` out"), "{text}");
    assert_eq!(worst(1000, &of("ann")).unwrap().0, Level::Warn, "the image may mean whoever it likes");
    for (uid, user) in [(1000, "1000:1000"), (0, "1000:1000"), (0, "root"), (0, "ann")] {
        assert_eq!(worst(uid, &of(user)), None, "{uid} {user}");
    }
    let (level, text) = worst(0, &one(DockerSettings::of("x"))).unwrap();
    assert!(level == Level::Warn && text.contains("Claude runs are refused") && text.contains("1000:1000"), "{text}");
}

fn thing(id: &str, home: &str, instance: &str, machine: &str) -> Thing {
    let mark = Mark { instance: instance.to_owned(), home: home.into(), machine: machine.to_owned(), job: "j.1".to_owned() };
    Thing { is_volume: id.starts_with('v'), id: id.to_owned(), name: id.to_owned(), is_running: id.starts_with('r'), mark }
}

#[test]
fn only_what_is_of_this_machine_and_of_a_home_that_is_gone_is_left() {
    let look = |mark: &Mark| match mark.home.to_str().unwrap() {
        "/gone" => HomeState::Gone,
        "/hidden" => HomeState::Unknown,
        _ => HomeState::There,
    };
    let all = [
        thing("c1", "/gone", "aa", "here"),
        thing("r2", "/gone", "ab", "here"),
        thing("v3", "/gone", "aa", "here"),
        thing("c4", "/gone", "aa", "elsewhere"),
        thing("c5", "/there", "ac", "here"),
        thing("c6", "/hidden", "ad", "here"),
        // Its home was moved: by its identity it is ours.
        thing("c7", "/gone", "own", "here"),
    ];
    let sorted = sort(&all, "here", Some("own"), &look);
    let ids = |things: &[Thing]| things.iter().map(|thing| thing.id.clone()).collect::<Vec<_>>();
    assert_eq!((ids(&sorted.gone), ids(&sorted.own)), (vec!["c1".into(), "r2".into(), "v3".into()], vec!["c7".into()]));
    assert_eq!((sorted.unknown, sorted.foreign), (1, 1));

    let site = Site { url: URL.to_owned(), is_default: true, tls: None, pools: Vec::new() };
    let told = left::findings(&site, &sorted, false);
    assert_eq!(told.len(), 3);
    assert!(told[0].found.contains("2 containers (1 running) and 1 volume are left of homes that are gone: /gone"), "{told:?}");
    assert!(told[0].remedy.contains("--repair") && told[1].found.contains("1 container of this home"), "{told:?}");
    assert!(told[2].found.contains("1 of other machines (elsewhere), 1 of homes that you may not"), "{told:?}");
    assert_eq!(left::findings(&site, &sorted, true).len(), 2, "they are looked after");
    assert!(left::findings(&site, &sort(&all[4..5], "here", None, &look), false).is_empty());
    assert_eq!(Path::new("/gone"), sorted.gone[0].mark.home);
}
