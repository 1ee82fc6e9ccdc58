//! What goes wrong on demand: rules for the requests of a kind, decided by order or by a seeded generator.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::halt::Halt;
use super::http::Framing;
use super::refusal::{Refusal, forbidden};
use super::route::Kind;

/// Whether the request has taken effect when it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// Which of the requests that fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Which {
    /// So many from now on.
    Next(u32),
    /// Each that has this number, or a multiple of it.
    Every(u32),
    /// By chance.
    Chance(f64),
    Always,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is answered so.
    Refuse(When, Refusal),
    /// Its connection is reset in place of an answer.
    Cut(When),
    /// The answer is so late; of a stream, its beginning.
    Stall(When, Duration),
    /// It stays where it is until the test decides; a stream before it begins, since afterwards it has been told.
    Held(When, Halt),
    /// A watch or log ends after so many events or lines, with the zero chunk or without.
    End { after: usize, is_clean: bool },
    /// A watch or log begins, and then says nothing.
    Silent,
    /// Each event comes twice.
    Twice,
    /// Each event and line comes so much later.
    Late(Duration),
    /// Two neighbouring events each come in the other order.
    Swapped,
    /// A stream's bytes are cut so.
    Framed(Framing),
    /// A log has this content, with status 200.
    Text(&'static str),
}

impl Fault {
    /// 429 with the header that says when to come again.
    pub fn too_many(when: When, retry_after: u32) -> Fault {
        let message = "The server has received too many requests and has asked us to try again later";
        Fault::Refuse(when, Refusal::new(429, "TooManyRequests", message).retry_after(retry_after))
    }

    /// 500 as of a server that cannot reach its store.
    pub fn internal(when: When) -> Fault {
        let message = "Internal error occurred: etcdserver: request timed out";
        Fault::Refuse(when, Refusal::new(500, "InternalError", message))
    }

    /// A log that the container runtime has no more.
    pub fn no_log() -> Fault {
        Fault::Text("unable to retrieve container logs for containerd://0f2e5a1d3c4b")
    }

    /// 500 as of a kubelet that cannot be reached.
    pub fn no_kubelet() -> Fault {
        Fault::Refuse(When::Before, kubelet_refused("x"))
    }
}

/// What is said of logs while a node is away.
pub fn kubelet_refused(pod: &str) -> Refusal {
    let message = format!(
        "Get \"https://node-1:10250/containerLogs/airx/{pod}/main\": dial tcp 127.0.0.1:10250: connect: connection refused"
    );
    Refusal::new(500, "", message)
}

/// Why admission refuses a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Quota,
    QuotaMustSpecify,
    LimitRange,
    PodSecurity,
    PriorityClass,
    ServiceAccount,
    NamespaceTerminating,
}

impl Admission {
    pub fn refusal(self, namespace: &str, name: &str) -> Refusal {
        let why = match self {
            Admission::Quota => "exceeded quota: airx-pods, requested: pods=1, used: pods=1, limited: pods=1".to_owned(),
            Admission::QuotaMustSpecify => {
                "failed quota: airx-pods: must specify limits.memory for: main; requests.cpu for: main".to_owned()
            }
            Admission::LimitRange => {
                "[maximum cpu usage per Container is 500m, but limit is 2, maximum memory usage per Container is 64Mi, but limit is 1Gi]"
                    .to_owned()
            }
            Admission::PodSecurity => "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"main\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"main\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"main\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"main\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")".to_owned(),
            Admission::PriorityClass => "no PriorityClass with name no-such-class was found".to_owned(),
            Admission::ServiceAccount => {
                format!("error looking up service account {namespace}/no-such-sa: serviceaccount \"no-such-sa\" not found")
            }
            Admission::NamespaceTerminating => {
                let mut refusal = forbidden(name, &format!("unable to create new content in namespace {namespace} because it is being terminated"));
                refusal.details["causes"] = serde_json::json!([{
                    "reason": "NamespaceTerminating",
                    "message": format!("namespace {namespace} is being terminated"),
                    "field": "metadata.namespace",
                }]);
                return refusal;
            }
        };
        forbidden(name, &why)
    }
}

/// The rules of a server.
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    admission: Option<Admission>,
    random: u64,
    fired: usize,
}

struct Rule {
    kind: Option<Kind>,
    /// In the path.
    part: String,
    which: Which,
    seen: u32,
    fault: Fault,
}

impl Faults {
    /// From now on, for requests of a kind.
    pub fn on(&self, kind: Kind, which: Which, fault: Fault) {
        self.add(Some(kind), "", which, fault);
    }

    /// The same for requests with this part in their path.
    pub fn on_path(&self, kind: Kind, part: &str, which: Which, fault: Fault) {
        self.add(Some(kind), part, which, fault);
    }

    /// For requests of all kinds.
    pub fn on_all(&self, which: Which, fault: Fault) {
        self.add(None, "", which, fault);
    }

    /// The next request of a kind stays where it is.
    pub fn hold(&self, kind: Kind, when: When) -> Halt {
        let halt = Halt::default();
        self.on(kind, Which::Next(1), Fault::Held(when, halt.clone()));
        halt
    }

    /// Each pod is refused so; none lifts it.
    pub fn refuse_pods(&self, why: Option<Admission>) {
        self.state().admission = why;
    }

    /// Where the generator begins.
    pub fn seed(&self, seed: u64) {
        self.state().random = seed;
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.admission = None;
    }

    /// How often anything went wrong.
    pub fn fired(&self) -> usize {
        self.state().fired
    }

    pub(super) fn admission(&self) -> Option<Admission> {
        self.state().admission
    }

    /// What goes wrong with this request.
    pub(super) fn take(&self, kind: Kind, path: &str) -> Vec<Fault> {
        let mut state = self.state();
        let State { rules, random, fired, .. } = &mut *state;
        let mut faults = Vec::new();
        rules.retain_mut(|rule| {
            if rule.kind.is_some_and(|only| only != kind) || !path.contains(&rule.part) {
                return true;
            }
            rule.seen += 1;
            let fires = match rule.which {
                Which::Always | Which::Next(_) => true,
                Which::Every(number) => rule.seen.is_multiple_of(number.max(1)),
                Which::Chance(chance) => unit(random) < chance,
            };
            if fires {
                faults.push(rule.fault.clone());
            }
            !matches!(rule.which, Which::Next(count) if rule.seen >= count)
        });
        *fired += faults.len();
        faults
    }

    fn add(&self, kind: Option<Kind>, part: &str, which: Which, fault: Fault) {
        self.state().rules.push(Rule { kind, part: part.to_owned(), which, seen: 0, fault });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next number of a generator (splitmix64), from 0 to 1.
fn unit(random: &mut u64) -> f64 {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// What of them concerns a stream.
#[derive(Debug, Clone, Default)]
pub struct StreamFaults {
    pub end: Option<(usize, bool)>,
    pub is_silent: bool,
    pub is_twice: bool,
    pub is_swapped: bool,
    pub late: Option<Duration>,
    pub framing: Framing,
    pub text: Option<&'static str>,
}

impl StreamFaults {
    pub fn of(faults: &[Fault]) -> StreamFaults {
        let mut of = StreamFaults::default();
        for fault in faults {
            match fault {
                Fault::End { after, is_clean } => of.end = Some((*after, *is_clean)),
                Fault::Silent => of.is_silent = true,
                Fault::Twice => of.is_twice = true,
                Fault::Late(time) => of.late = Some(*time),
                Fault::Swapped => of.is_swapped = true,
                Fault::Framed(framing) => of.framing = *framing,
                Fault::Text(text) => of.text = Some(text),
                Fault::Refuse(..) | Fault::Cut(_) | Fault::Stall(..) | Fault::Held(..) => {}
            }
        }
        of
    }
}
