//! The configuration that `airx init` writes: every key, commented out and explained.

/// The text of a new configuration.
pub fn template() -> &'static str {
    r##"# Configuration of airx. Every key is commented out and shows its default; `airx doctor` checks this file.
# It is read again when it changes; a wrong value is told, and the rest holds.

# How often everything is compared with reality, besides being told at once: 1s to 60s.
#poll_interval: 5s

# Where tasks run, and how many at once.
#pools:
#  local: { backend: process, slots: 10 }
#  # Limits for tasks of a pool that do not set their own:
#  small: { backend: process, slots: 2, memory: 2g, pids: 256 }
#  # Each attempt in a container of its own. Only the image is needed; keys whose default is none show an example.
#  sandbox:
#    backend: docker
#    image: localhost/airx-runner
#    slots: 4
#    memory: 2g
#    cpus: 1.5
#    # 4096 when neither pool nor task says more or less.
#    pids: 256
#    # Else the manager's DOCKER_HOST, else the engine's usual socket. tcp:// has neither a password nor encryption.
#    host: unix:///var/run/docker.sock
#    # missing, always or never; and how long a pull may take.
#    pull: missing
#    pull_deadline: 10m
#    # UID[:GID], or names of the image; else whoever runs the manager.
#    user: "1000:1000"
#    # bind mounts it, copy copies it in and out again, none is an empty directory; auto is bind where the engine is of this
#    # machine, else copy.
#    workspace: auto
#    # SOURCE:TARGET[:ro|rw], or the long form. A source is an absolute path of the engine's machine, or a volume. The engine's
#    # socket is never mounted.
#    mounts: ["cargo:/cargo", { source: /srv/data, target: /data, read_only: true }]
#    # As in a job file, but without templates; what the task says goes before. Secrets by reference only.
#    env: { LANG: C.UTF-8, GITHUB_TOKEN: { from: "env:GITHUB_TOKEN" } }
#    # none, bridge, or the name of a network; else the engine's default. Never the machine's own.
#    network: none
#    # File systems in memory. /tmp is always one.
#    tmpfs: [/cache, { target: /scratch, size: 512m }]
#    # Whether the image's own file system is read-only.
#    read_only: true
#    # Whether a small init of the engine's is the first process.
#    init: false
#    labels: { team: a }
#    # host-gateway is the engine's machine.
#    extra_hosts: ["db:10.0.0.2"]
#    # json-file, local or journald, for containers without our runner; else the engine's default.
#    log_driver: json-file
#    # auto: airx is the first process where the image's system fits. none: the engine alone says what became of the command.
#    runner: auto
#    # What is lifted or added beyond the hardened defaults; there is nothing else that can be.
#    override:
#      cap_add: [NET_BIND_SERVICE]
#      devices: [/dev/kvm]
#      runtime: runsc
#      shm_size: 64m
#      ulimits: { nofile: 1024, core: { soft: 0, hard: -1 } }
#      dns: [10.0.0.53]
#  # Each attempt in a pod of its own. Only the image is needed; keys whose default is none show an example. `pids` is none of them.
#  cluster:
#    backend: kubernetes
#    image: registry.example/airx-runner:1
#    slots: 100
#    # The limits of the task's container.
#    memory: 2g
#    cpus: 1.5
#    # What is asked of a node, as Kubernetes writes it; what is missing equals the limits.
#    requests: { cpu: 250m, memory: 512Mi }
#    # A context of your kubeconfig, else its current one; in-cluster is the cluster that airx runs in.
#    context: in-cluster
#    # Else the context's.
#    namespace: airx
#    # missing, always or never; and Secrets with logins to registries.
#    pull: missing
#    pull_secrets: [registry-login]
#    # A file beside this one with a Pod: what is said here and by the task is laid over it. Its task's container is called main. Not
#    # its to say are names, restartPolicy, deadlines, grace, and main's command and image. It is read when this file is.
#    template: pod.yaml
#    # None of its rights get into the pod: its token is mounted only where the template says so.
#    service_account: airx-task
#    # On which nodes: by their labels, past their taints, and as a Pod's `affinity` has it.
#    node_selector: { kubernetes.io/arch: amd64 }
#    tolerations: [{ key: dedicated, operator: Equal, value: airx, effect: NoSchedule }]
#    affinity: { podAntiAffinity: {} }
#    priority_class: low
#    runtime_class: gvisor
#    # claim, secret, config_map or empty (true, or size and memory). Secrets and config maps are read-only unless it says otherwise.
#    volumes:
#      - { claim: cargo, target: /cargo, path: shared }
#      - { secret: netrc, target: /etc/netrc.d, read_only: true }
#      - { config_map: settings, target: /etc/settings }
#      - { empty: { size: 1g, memory: true }, target: /scratch }
#    # empty, { size: 10g }, { claim: NAME, path: DIRECTORY }, or { git: URL, ref: REF, depth: N, image: IMAGE, secret: NAME } with a
#    # Secret that has `username` and `password`, or `token`. Nothing of your own directory is there.
#    workspace: empty
#    # Secrets only by the name of a Secret of the namespace. What the task says goes before.
#    env: { LANG: C.UTF-8, GITHUB_TOKEN: { secret: github, key: token } }
#    # Longest wait for a node, and from there to the running container: 1s to 24h.
#    schedule_deadline: 30m
#    pull_deadline: 10m
#    # Longest run of a task without a timeout of its own, 1s to 30d; none by default.
#    run_deadline: 12h
#    # Least time to end when asked to, 1s to 1h; else the task's own grace. Never 0.
#    grace: 30s
#    labels: { team: a }
#    annotations: { example.com/owner: "Ann, room 7" }
#    # Most pods made in a second: 0.1 to 1000.
#    create_rate: 20
#    # UID or UID:GID in numbers, or image for the image's own. 0 is root, which many namespaces refuse.
#    user: "10001:10001"
#    # Whether the image's own file system is read-only.
#    read_only: true
#    # auto: airx is the first process. none: the cluster alone says what became of the command.
#    runner: auto
#    # The image that airx is copied from; else the task's own image has it.
#    runner_image: registry.example/airx-runner:1
#    # Whether the Role allows `get` and `create` on pods/attach, by which answers to questions reach a pod.
#    attach: false

# Claude Code. The binary is a path, or a name that is looked up in the task's PATH.
# auth is login (what `claude` itself uses), or env:NAME for a key in a variable of the manager.
# max_parallel bounds runs over all pools. when_limited: wait for the end of a usage limit (and limit_margin longer), ask a
# person then, or fail. In quiet_hours (09:00-18:00, local time) no run starts. Neither max_parallel nor quiet_hours is set by
# default. A run without an event for silence is ended, and resumed by a retry.
# trusted: directories (with all below) whose projects' own settings, CLAUDE.md, hooks and MCP servers may act in tasks; elsewhere
# Claude runs with your own settings alone. A task may ask for less: trust: none.
#claude: { binary: claude, model: sonnet, auth: login, when_limited: wait, limit_margin: 30s, silence: 40m, trusted: [] }

# What all Claude runs may use in a local day; none by default.
# budget: { usd_per_day: 20, tokens_per_day: 50000000 }

# Nothing new starts when the disk has less room than this.
#min_free_disk: 256m

# How long finished jobs are kept, and how much output.
#retention: { days: 30, bytes: 10GB }

# Who is told what, nobody by default: a command (no shell; or run: LINE for `sh -c`, with AIRX_EVENT, AIRX_JOB, AIRX_TASK, AIRX_TEXT, … in its
# environment), a webhook (POST), or the terminal of the open workstation (bell, osc9, osc777). Events: failed and completed (a
# task, for good), job_failed, job_completed, job_cancelled, question, limited, auth, budget. Templates know event, job, task,
# outcome, reason, cost, count, title, text and home. A webhook without a body sends all of them as JSON. Secrets only by
# reference: env:NAME, file:PATH, command:LINE. `airx notify test` sends one notice through each.
#notify:
#  - { on: [failed, question], command: [notify-send, "{{ title }}", "{{ text }}"] }
#  - on: [job_failed, job_completed, limited, auth, budget]
#    webhook: { from: "env:WEBHOOK_URL" }
#    body: '{"text": "{{ text }}"}'
#    headers: { Authorization: { from: "env:WEBHOOK_TOKEN" } }
#  - { on: [question], terminal: osc9 }

# The workstation. Themes: terminal, dark, light, high-contrast, mono; keymaps: default, vim, emacs. A file
# themes/NAME.yaml or keymaps/NAME.yaml beside this one changes single entries, or makes one of your own.
#theme: terminal
#keymap: default
# Signs: auto (what the terminal can show), unicode or ascii.
#glyphs: auto
# Whether the workstation takes the mouse.
#mouse: false
"##
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::docker::overrides;
    use crate::config::pool::Kind;
    use crate::model::docker::DockerSettings;
    use crate::model::kubernetes::KubernetesSettings;
    use crate::model::settings::{PoolBackend, Settings};

    #[test]
    fn every_key_of_the_template_is_valid_and_shows_the_default() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        let is_key = |line: &&str| {
            line.starts_with('#')
                && (!line.starts_with("# ") || line.starts_with("#  "))
                && !line[1..].trim_start().starts_with('#')
        };
        let text: String = template().lines().filter(is_key).map(|line| format!("{}\n", &line[1..])).collect();
        std::fs::write(&path, text).unwrap();
        std::fs::write(directory.path().join("pod.yaml"), "spec: {}\n").unwrap();
        let loaded = super::super::load(&path);
        assert_eq!(loaded.faults, []);
        let mut settings = loaded.settings;
        assert!(settings.pools.remove("small").is_some());
        let PoolBackend::Docker(sandbox) = settings.pools.remove("sandbox").unwrap().backend else { panic!("not docker") };
        let shown = DockerSettings::of("localhost/airx-runner");
        assert_eq!(
            (sandbox.pull, sandbox.pull_deadline_ms, sandbox.workspace, sandbox.read_only, sandbox.init, sandbox.runner),
            (shown.pull, shown.pull_deadline_ms, shown.workspace, shown.read_only, shown.init, shown.runner)
        );
        let PoolBackend::Kubernetes(cluster) = settings.pools.remove("cluster").unwrap().backend else {
            panic!("not kubernetes")
        };
        let shown = KubernetesSettings::of("registry.example/airx-runner:1");
        let defaults = |pods: &KubernetesSettings| {
            let deadlines = (pods.schedule_deadline_ms, pods.pull_deadline_ms);
            (pods.pull, pods.workspace.clone(), deadlines, pods.create_rate, pods.user, pods.read_only, pods.runner, pods.attach)
        };
        assert_eq!(defaults(&cluster), defaults(&shown));
        let (docker, kubernetes) = template().split_once("\n#  cluster:\n").unwrap();
        for (part, kind) in [(docker, Kind::Docker), (kubernetes, Kind::Kubernetes)] {
            for key in kind.keys() {
                assert!(
                    part.contains(&format!("\n#    {key}:")) || part.starts_with(&format!("#    {key}:")),
                    "{key} is not explained"
                );
            }
        }
        for key in overrides::KEYS {
            assert!(template().contains(&format!("\n#      {key}: ")), "{key} is not explained");
        }
        assert_eq!(std::mem::take(&mut settings.notify).len(), 3);
        assert_eq!(settings, Settings::default());
    }
}
