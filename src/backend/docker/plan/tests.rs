use std::sync::Arc;

use super::*;
use crate::manager::ports::Place;
use crate::model::attempt::{GateSpec, OutputMode, RunnerSpec, Stdin, StopSignal};
use crate::model::docker::DockerSettings;
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::spec::Resources;

fn order() -> LaunchOrder {
    let spec = RunnerSpec {
        mark: "0a1b2c3d-1-0-1".to_owned(),
        argv: vec!["sh".to_owned(), "-c".to_owned(), "true".to_owned()],
        cwd: CONTAINER_WORKSPACE.into(),
        stdin: Stdin::Null,
        output: OutputMode::Pipes,
        timeout_ms: None,
        silence_ms: None,
        grace_ms: 10_000,
        stop: StopSignal::Term,
        output_limit: 1 << 20,
        resources: Resources::default(),
        gate: None,
        round: None,
        allowance: None,
        result: None,
        artifacts: None,
        seal: String::new(),
        claude: false,
        contained: true,
    };
    let env = [("KEY", "secret"), ("AIRX_TOKEN", "token")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let attempt = AttemptId { job: JobId(1), task: TaskIdx(0), number: 1 };
    LaunchOrder { attempt, dir: "/home/jobs/j.1/t.1".into(), spec, env: env.to_vec(), prompt: None, place: Place::Process }
}

fn place(change: impl FnOnce(&mut DockerSettings)) -> DockerPlace {
    let mut settings = DockerSettings::of("image");
    change(&mut settings);
    DockerPlace {
        settings: Arc::new(settings),
        job: "j.1".to_owned(),
        task: "t".to_owned(),
        workspace: "/src/shop".into(),
        resources: Resources::default(),
        claude_config: None,
    }
}

fn side() -> Side {
    Side {
        uid: 1000,
        gid: 100,
        program: "/home/programs/airx".into(),
        task_socket: "/run/airx/x/task".into(),
        instance: "0a1b2c3d".to_owned(),
        home: "/home".into(),
        machine: "here".to_owned(),
        guarded: Guarded { sockets: vec!["/run/airx/x/control.sock".into()], private: vec!["/home".into()] },
    }
}

fn local() -> EngineFacts {
    EngineFacts { is_local: true, ..EngineFacts::default() }
}

fn planned(order: &LaunchOrder, place: &DockerPlace, engine: &EngineFacts, image: &ImageFacts) -> Result<Plan, Refusal> {
    plan(order, place, engine, image, &side(), Record::of(order, "default", "unix:///x"))
}

fn fitting() -> ImageFacts {
    ImageFacts { os: "linux".to_owned(), architecture: String::new() }
}

fn host(plan: &Plan) -> &HostConfig {
    plan.body.host_config.as_ref().unwrap()
}

#[test]
fn a_container_is_hardened_and_its_configuration_holds_no_environment() {
    let plan = planned(&order(), &place(|_| {}), &local(), &fitting()).unwrap();
    let (body, host) = (&plan.body, host(&plan));
    assert_eq!(body.entrypoint.as_deref().unwrap(), ["/airx/bin/airx", "enter", "/airx/attempt"]);
    assert_eq!((body.env.as_ref(), body.user.as_deref()), (None, Some("1000:100")));
    assert_eq!(host.cap_drop.as_deref().unwrap(), ["ALL"]);
    assert_eq!(host.security_opt.as_deref().unwrap(), ["no-new-privileges"]);
    assert_eq!((host.readonly_rootfs, host.auto_remove, host.pids_limit), (Some(true), Some(false), Some(4096)));
    assert_eq!((host.privileged, host.cap_add.as_ref(), host.network_mode.as_ref()), (None, None, None));
    let mounts: Vec<String> = host.mounts.iter().flatten().filter_map(|mount| mount.target.clone()).collect();
    assert_eq!(mounts, ["/airx/bin/airx", "/airx/attempt", "/airx/socket", "/workspace"]);
    assert!(host.tmpfs.as_ref().unwrap().contains_key("/tmp"));
}

#[test]
fn another_system_means_the_reduced_mode_which_not_every_task_can_do() {
    let foreign = ImageFacts { os: "linux".to_owned(), architecture: "s390x".to_owned() };
    let plan = planned(&order(), &place(|_| {}), &local(), &foreign).unwrap();
    assert!(plan.record.is_reduced && plan.record.notes[0].contains("reduced mode"), "{:?}", plan.record.notes);
    assert_eq!(plan.body.entrypoint.as_deref().unwrap(), ["sh"]);
    assert_eq!(plan.body.env.as_deref().unwrap(), ["KEY=secret"], "the token is of no use there");
    assert_eq!(host(&plan).log_config.as_ref().unwrap().typ.as_deref(), Some("local"));
    let gated = GateSpec { argv: vec!["true".to_owned()], timeout_ms: 1 };
    let mut with_gate = order();
    with_gate.spec.gate = Some(gated);
    let why = planned(&with_gate, &place(|pool| pool.runner = RunnerMode::None), &local(), &fitting()).unwrap_err();
    assert!(why.contains("accept needs the runner") && why.contains("runner: none"), "{why}");
}

#[test]
fn users_are_those_of_the_pool_else_whoever_runs_the_manager() {
    let user = |user: Option<&str>, engine: &EngineFacts| {
        let place = place(|pool| pool.user = user.map(str::to_owned));
        let plan = planned(&order(), &place, engine, &fitting()).unwrap();
        (plan.body.user.unwrap(), plan.owner)
    };
    assert_eq!(user(None, &local()), ("1000:100".to_owned(), Some((1000, 100))));
    assert_eq!(user(None, &EngineFacts { is_rootless: true, ..local() }), ("0:0".to_owned(), Some((0, 0))));
    assert_eq!(user(Some("7:8"), &local()), ("7:8".to_owned(), Some((7, 8))));
    assert_eq!(user(Some("7"), &local()), ("7".to_owned(), Some((7, u32::MAX))));
    assert_eq!(user(Some("ann"), &local()), ("ann".to_owned(), None), "the image knows");
}

#[test]
fn a_remote_engine_shares_nothing_and_a_home_in_a_workspace_is_hidden() {
    let plan = planned(&order(), &place(|_| {}), &EngineFacts::default(), &fitting()).unwrap();
    let is_bind = |mount: &Mount| mount.typ == Some(MountType::BIND);
    assert!(plan.record.is_remote && plan.copies.is_some() && !host(&plan).mounts.iter().flatten().any(is_bind));
    let binds = place(|pool| pool.workspace = WorkspaceMode::Bind);
    assert!(planned(&order(), &binds, &EngineFacts::default(), &fitting()).unwrap_err().contains("write copy"));
    let whole = DockerPlace { workspace: "/".into(), ..place(|_| {}) };
    assert!(
        planned(&order(), &whole, &local(), &fitting()).unwrap_err().contains("never mounted"),
        "the control socket is in it"
    );
    let tmpfs = |place: &DockerPlace| {
        let mut side = side();
        side.guarded.private = vec!["/src/shop/.air-executor".into()];
        let plan = super::plan(&order(), place, &local(), &fitting(), &side, Record::of(&order(), "", "")).unwrap();
        host(&plan).tmpfs.clone().unwrap()
    };
    assert!(tmpfs(&place(|_| {})).contains_key("/workspace/.air-executor"));
    let beside = place(|pool| {
        let source = "/src".to_owned();
        pool.mounts = vec![crate::model::docker::Mount { source, target: "/data".into(), read_only: true }];
    });
    assert!(tmpfs(&beside).contains_key("/data/shop/.air-executor"), "nor is it seen by way of a mount of the pool's");
    assert!(!tmpfs(&place(|pool| pool.workspace = WorkspaceMode::None)).contains_key("/workspace/.air-executor"));
}
