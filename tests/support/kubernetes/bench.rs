//! A home with a pool of pods, and what is true of every task whatever happened to it. A test that has this module also has
//! `support/home.rs` as `home` and `support/kubernetes/mod.rs` as `kubernetes` beside it.
#![allow(dead_code, reason = "each test program uses its own part")]

#[path = "../site.rs"]
mod site;

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;

use super::kubernetes::Server;
#[allow(unused_imports, reason = "each test program uses its own part")]
pub use site::Mode;
use site::Site;

/// The claim that is the home's workspace.
pub const CLAIM: &str = "work";

/// A home whose pool `box` is on a server. The manager is not started yet.
pub struct Bench {
    site: Site,
    pub server: Server,
}

impl Bench {
    /// `pool` are the keys of the pool beside its backend and its slots.
    pub fn new(server: Server, slots: u32, pool: &str) -> Bench {
        let mut site = Site::new();
        site.home.env.push(("KUBECONFIG".to_owned(), server.kubeconfig().display().to_string()));
        site.set_pool(&format!("{{ backend: kubernetes, slots: {slots}, {pool} }}"));
        // The tasks' user is none of this machine's.
        fs::set_permissions(site.home.work(), fs::Permissions::from_mode(0o777)).expect("permissions");
        Bench { site, server }
    }

    /// The workspace can be had from now on.
    pub fn claim(&self) {
        self.server.claim(CLAIM, &self.home.work());
    }

    /// The only pod.
    pub fn pod(&self) -> String {
        let pods = self.server.pods();
        assert_eq!(pods.len(), 1, "{pods:#?}");
        pods[0]["metadata"]["name"].as_str().expect("a name").to_owned()
    }

    /// Whether it is written down on this side which pod was made, by this uid.
    pub fn is_known(&self, uid: &str) -> bool {
        let jobs = fs::read_dir(self.home.path().join("jobs")).into_iter().flatten().flatten();
        let files = jobs.flat_map(|job| fs::read_dir(job.path()).into_iter().flatten().flatten()).map(|entry| entry.path());
        let mut records = files.filter(|path| path.extension().is_some_and(|extension| extension == "pod"));
        records.any(|record| fs::read_to_string(record).is_ok_and(|text| text.contains(uid)))
    }

    /// Waits until its pod is over.
    pub fn until_pod_is_over(&self) {
        let is_over = |server: &Server| {
            server.pods().iter().any(|pod| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")))
        };
        self.server.until("its pod is over", is_over);
    }

    /// Nothing is left: no pod, and every slot is free. Nothing was asked for that must not be.
    pub fn until_nothing_is_left(&self) {
        self.server.until("no pod is left", |server| server.pods().is_empty());
        assert_eq!(self.slots_used(), 0);
        assert_eq!(self.server.complaints(), Vec::<String>::new());
    }

    /// Each of so many pods was made once, and ran once; each attempt wrote its line in the file `ran`.
    pub fn assert_each_ran_once(&self, count: usize) {
        self.assert_ran_at_most_once(count);
        assert_eq!(self.content("ran").lines().count(), count);
        assert_eq!(self.server.ran().len(), count);
    }

    /// The same where pods may have been taken away before they ran.
    pub fn assert_ran_at_most_once(&self, count: usize) {
        let (created, ran) = (self.server.created(), self.server.ran());
        assert_eq!(created.len(), count, "{created:?}");
        assert!(created.values().chain(ran.values()).all(|times| *times == 1), "{created:?} {ran:?}");
        let content = self.content("ran");
        let mut wrote: Vec<&str> = content.lines().collect();
        wrote.sort_unstable();
        assert!(wrote.windows(2).all(|two| two[0] != two[1]), "a task ran twice in one attempt: {wrote:?}");
        assert!(wrote.iter().all(|mark| created.contains_key(&format!("airx-{mark}"))), "{wrote:?} {created:?}");
    }
}

impl Deref for Bench {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl DerefMut for Bench {
    fn deref_mut(&mut self) -> &mut Site {
        &mut self.site
    }
}
