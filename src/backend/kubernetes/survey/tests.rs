use std::collections::BTreeMap;
use std::sync::Arc;

use super::rights::{ATTACH, EXCESS, NEEDED, OPTIONAL, Right};
use super::*;
use crate::backend::kubernetes::fault::{Refusal, not_made};
use crate::backend::kubernetes::names;
use crate::model::docker::RunnerMode;
use crate::model::settings::PoolSettings;

fn settings(pools: &[(&str, KubernetesSettings)]) -> Settings {
    let pool = |(name, pods): &(&str, KubernetesSettings)| {
        let backend = PoolBackend::Kubernetes(Arc::new(pods.clone()));
        (name.to_string(), PoolSettings { slots: 1, resources: Resources::default(), backend })
    };
    Settings { pools: pools.iter().map(pool).collect(), ..Settings::default() }
}

fn of(namespace: &str) -> KubernetesSettings {
    KubernetesSettings { context: Some("prod".to_owned()), namespace: Some(namespace.to_owned()), ..KubernetesSettings::of("x") }
}

fn asking() -> KubernetesSettings {
    KubernetesSettings { attach: true, ..of("airx") }
}

/// A cluster that allows these and nothing else.
fn allowing(rights: &[&[Right]]) -> Facts {
    let allowed: Vec<Right> = rights.iter().flat_map(|some| some.iter().copied()).collect();
    Facts {
        server: "https://k:6443/".to_owned(),
        namespace: "airx".to_owned(),
        version: Some("v1.36.2".to_owned()),
        rights: rights::all().map(|right| (right, allowed.contains(&right))).collect(),
        pods: Some(BTreeMap::new()),
        trials: BTreeMap::from([("a".to_owned(), Trial::Admitted)]),
        ..Facts::default()
    }
}

fn able() -> Facts {
    allowing(&[NEEDED, OPTIONAL])
}

fn without(verb: &str, resource: &str) -> Facts {
    let mut facts = able();
    facts.rights.iter_mut().filter(|(right, _)| right.verb == verb && right.resource == resource).for_each(|(_, is)| *is = false);
    facts
}

/// Level and text of each finding for one pool.
fn judged(pods: KubernetesSettings, answer: Result<Facts, Trouble>) -> Vec<(Level, String)> {
    judged_by(pods, answer, None, false)
}

fn judged_by(pods: KubernetesSettings, answer: Result<Facts, Trouble>, own: Option<&str>, runs: bool) -> Vec<(Level, String)> {
    let settings = settings(&[("a", pods)]);
    let all = sites(&settings).into_iter().flat_map(|site| findings(&site, &answer, own, runs));
    all.map(|it| (it.level, format!("{}: {} -> {}", it.what, it.found, it.remedy))).collect()
}

/// What is worse than well, of which there is one.
fn complaint(pods: KubernetesSettings, facts: Facts) -> (Level, String) {
    let mut all: Vec<_> = judged(pods, Ok(facts)).into_iter().filter(|(level, _)| *level != Level::Ok).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_namespace_is_asked_once_whoever_names_it() {
    let settings = settings(&[("a", of("airx")), ("b", of("other")), ("c", of("airx"))]);
    let told: Vec<_> = sites(&settings).iter().map(|site| (site.place(None), site.users())).collect();
    let place = |namespace: &str| format!("namespace {namespace}, context prod");
    assert_eq!(told, [(place("airx"), "pools a, c".to_owned()), (place("other"), "pool b".to_owned())]);
    assert!(sites(&Settings::default()).is_empty());
}

#[test]
fn a_cluster_that_allows_and_admits_all_gets_no_complaint() {
    let all = judged(of("airx"), Ok(able()));
    assert!(all.iter().all(|(level, _)| *level == Level::Ok) && all.len() == 3, "{all:?}");
    assert!(all[0].1.contains("Kubernetes v1.36.2 at https://k:6443/") && all[1].1.contains("no way in"), "{all:?}");
    assert!(all[2].1.contains("pool a: a pod of it would be admitted"), "{all:?}");
}

#[test]
fn what_cannot_be_used_at_all_is_one_failure_with_its_remedy() {
    let told = |pods: KubernetesSettings, trouble| {
        let mut all = judged(pods, Err(trouble));
        assert_eq!((all.len(), all[0].0), (1, Level::Fail), "{all:?}");
        all.remove(0).1
    };
    let server = || "https://k:6443/".to_owned();
    assert!(told(of("n"), Trouble::NoWay("there is no context".to_owned())).contains("get-contexts"));
    let gone = told(of("n"), Trouble::Unreachable { server: server(), why: "refused".to_owned() });
    assert!(
        gone.contains("https://k:6443/ cannot be reached: refused; nothing starts") && gone.contains("--context prod"),
        "{gone}"
    );
    assert!(told(of("n"), Trouble::Stranger { server: server(), why: "Unauthorized".to_owned() }).contains("renew"));
    assert!(told(of("n"), Trouble::Hangs).contains("no answer within 8 s"));
    let within = || KubernetesSettings { context: Some(IN_CLUSTER.to_owned()), ..of("n") };
    assert!(told(within(), Trouble::NoWay("no".to_owned())).contains("manager.yaml"));
    assert!(told(within(), Trouble::Unreachable { server: server(), why: "no".to_owned() }).contains("NetworkPolicy"));
    let odd = KubernetesSettings { context: Some("it's; rm".to_owned()), ..of("n") };
    assert!(told(odd, Trouble::Hangs).contains(r"kubectl --context 'it'\''s; rm' version"));
}

#[test]
fn an_old_version_is_warned_of_and_one_that_is_not_told_is_not() {
    let with = |version: Option<&str>| judged(of("n"), Ok(Facts { version: version.map(str::to_owned), ..able() })).remove(0);
    for old in ["v1.23.17-eks-1", "v1.9.0", "v0.99"] {
        let (level, text) = with(Some(old));
        assert!(level == Level::Warn && text.contains("older than 1.24") && text.contains("upgrade"), "{text}");
    }
    for fine in [Some("v1.24.0"), Some("v1.24+"), Some("v1.100.1"), Some("v2.0.0"), Some("unknown"), None] {
        assert_eq!(with(fine).0, Level::Ok, "{fine:?}");
    }
}

#[test]
fn each_missing_verb_is_named_with_the_role_that_gives_it() {
    let (level, text) = complaint(of("airx"), without("watch", "pods"));
    assert!(level == Level::Fail && text.contains("missing: watch on pods;"), "{text}");
    assert!(text.contains("`kubectl --context prod apply -f assets/kubernetes/role.yaml`"), "{text}");
    let elsewhere = Facts { namespace: "team".to_owned(), ..allowing(&[]) };
    let (_, text) = complaint(of("team"), elsewhere);
    let all = "create, get, list, watch, delete on pods; get on pods/log (and list on events, which is optional)";
    assert!(text.contains(all) && text.contains("sed 's/namespace: airx$/namespace: team/'"), "{text}");
    let (level, text) = complaint(of("airx"), without("list", "events"));
    assert!(level == Level::Warn && text.contains("missing: list on events"), "{text}");
}

#[test]
fn attaching_is_missed_only_where_a_pool_wants_it() {
    let (level, text) = complaint(asking(), able());
    assert!(level == Level::Fail && text.contains("get, create on pods/attach; pool a with attach: true"), "{text}");
    assert!(text.contains("role-attach.yaml") && text.contains("take `attach` out"), "{text}");
    let half = allowing(&[NEEDED, OPTIONAL, &ATTACH[1..]]);
    assert!(complaint(asking(), half).1.contains("missing: get on pods/attach;"));
    let all = judged(asking(), Ok(allowing(&[NEEDED, OPTIONAL, ATTACH])));
    assert!(all[1].0 == Level::Ok && all[1].1.contains("answers to questions get in"), "{all:?}");
    let deaf = KubernetesSettings { runner: RunnerMode::None, ..asking() };
    assert!(judged(deaf, Ok(able())).iter().all(|(level, _)| *level == Level::Ok));
}

#[test]
fn more_rights_than_are_needed_are_warned_of_by_what_they_could_do() {
    let (level, text) = complaint(of("airx"), allowing(&[NEEDED, OPTIONAL, EXCESS]));
    assert!(level == Level::Warn && text.contains("get, list, create on secrets; get, create on pods/exec"), "{text}");
    assert!(text.contains("read Secrets there, and enter any pod"), "{text}");
    assert!(complaint(of("airx"), allowing(&[NEEDED, OPTIONAL, &EXCESS[..1]])).1.contains("read or plant Secrets"));
    assert!(complaint(of("airx"), allowing(&[NEEDED, OPTIONAL, &EXCESS[4..]])).1.contains("could enter any pod"));
}

#[test]
fn rights_that_are_not_told_are_neither_had_nor_missing() {
    let untold = Facts { rights: BTreeMap::new(), untold: Some("forbidden".to_owned()), ..able() };
    let (level, text) = complaint(asking(), untold);
    assert!(level == Level::Warn && text.contains("does not tell") && text.contains("auth can-i --list -n airx"), "{text}");
}

#[test]
fn a_pod_that_would_be_refused_is_told_with_what_to_do() {
    let refused = |message: &str| {
        let refusal = Refusal { code: 403, message: message.to_owned(), ..Refusal::default() };
        let trial = Trial::Refused(not_made(&refusal, "airx"));
        complaint(of("airx"), Facts { trials: BTreeMap::from([("a".to_owned(), trial)]), ..able() })
    };
    let (level, text) = refused("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsUser=0");
    assert!(level == Level::Fail && text.contains("would be refused: the Pod Security level of airx"), "{text}");
    assert!(text.ends_with("-> look at the pool's `user` and `template`"), "{text}");
    let (level, text) = refused("pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1");
    assert!(level == Level::Warn && text.contains("refused now") && text.contains("fewer slots"), "{text}");
    let (level, text) = refused("admission webhook \"w\" denied the request: no; never");
    assert!(level == Level::Fail && text.contains("no; never -> ask whoever"), "{text}");
    let unknown = Trial::Unknown("webhook does not support dry run".to_owned());
    let (level, text) = complaint(of("airx"), Facts { trials: BTreeMap::from([("a".to_owned(), unknown)]), ..able() });
    assert!(level == Level::Warn && text.contains("is not known"), "{text}");
}

#[test]
fn a_pod_security_level_is_told_when_it_may_be_read() {
    let with = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        judged(of("airx"), Ok(Facts { labels: Some(labels), ..able() })).remove(0).1
    };
    assert!(with(&[("pod-security.kubernetes.io/enforce", "restricted")]).contains("Pod Security level restricted"));
    assert!(with(&[]).contains("no Pod Security level"));
    assert!(!judged(of("airx"), Ok(able()))[0].1.contains("Pod Security"));
}

#[test]
fn pods_of_other_homes_are_counted_named_and_left_alone() {
    let pods = |counts: &[(&str, usize, usize)]| {
        let counts = counts.iter().map(|(home, all, live)| (home.to_string(), Count { all: *all, live: *live }));
        Facts { pods: Some(counts.collect()), ..able() }
    };
    let last = |facts: Facts, own, runs| judged_by(of("airx"), Ok(facts), own, runs).pop().unwrap();
    let (level, text) = last(pods(&[("aa", 3, 1), ("bb", 2, 0), ("own", 1, 1)]), Some("own"), true);
    assert_eq!(level, Level::Ok, "{text}");
    assert!(text.contains("1 pod (1 not over) of this home; 5 pods (1 not over) of other homes (aa, bb), left alone"), "{text}");
    let (level, text) = last(pods(&[("own", 2, 0)]), Some("own"), false);
    assert!(level == Level::Warn && text.contains("2 pods (over) of this home") && text.contains("airx --daemon"), "{text}");
    let many: Vec<(String, usize, usize)> = (0..7).map(|home| (format!("h{home}"), 1, 0)).collect();
    let many: Vec<(&str, usize, usize)> = many.iter().map(|(home, all, live)| (home.as_str(), *all, *live)).collect();
    assert!(last(pods(&many), None, false).1.contains("(h0, h1, h2, h3, h4, 2 more)"));
    assert!(last(able(), Some("own"), false).1.starts_with("pool a"));
}

/// What is shown to the cluster is what would be made, under a name that no attempt has.
#[test]
fn the_trial_is_the_pods_own_definition_and_no_attempts() {
    let settings = settings(&[("a", of("airx"))]);
    let site = sites(&settings).remove(0);
    let question = question(&site, &BTreeMap::new(), "0a1b2c3d");
    let pod = question.trials["a"].clone().unwrap();
    let mark = pod["metadata"]["labels"][names::ATTEMPT].as_str().unwrap();
    assert_eq!(pod["metadata"]["name"], names::pod(mark));
    assert_eq!(names::attempt("0a1b2c3d", mark), None);
    assert_eq!(pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(pod["spec"]["containers"][0]["image"], "x");
}
