//! What is done at each poll beside the comparison with reality: a changed configuration, the daily backup, freed memory, the
//! drop directory.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::SystemTime;

use airx::config::home::Home;
use airx::manager::Message;
use airx::notify::Courier;
use airx::store::StoreReader;

/// Polls between two times that freed memory is given back.
const TRIM: u32 = 3;

/// The manager's upkeep.
pub struct Upkeep {
    home: Home,
    config: PathBuf,
    read: Option<SystemTime>,
    reader: Arc<StoreReader>,
    sender: SyncSender<Message>,
    courier: Arc<Courier>,
    backing_up: Arc<AtomicBool>,
    polls: u32,
}

impl Upkeep {
    /// `read` is when the configuration that holds was written.
    pub fn new(
        home: Home,
        config: PathBuf,
        read: Option<SystemTime>,
        reader: Arc<StoreReader>,
        sender: SyncSender<Message>,
        courier: Arc<Courier>,
    ) -> Upkeep {
        Upkeep { home, config, read, reader, sender, courier, backing_up: Arc::new(AtomicBool::new(false)), polls: 0 }
    }

    /// What the engine calls at each poll.
    pub fn into_poll(mut self, mut look_at_drops: impl FnMut() + Send) -> impl FnMut() + Send {
        move || {
            self.configure();
            look_at_drops();
            self.polls = self.polls.wrapping_add(1);
            // Not at the first poll: getting ready goes before housekeeping.
            if self.polls % TRIM == 2 {
                airx::os::trim_memory();
                self.backup();
            }
        }
    }

    /// Reads the configuration again when it was written; an invalid one changes what is valid in it and says so.
    fn configure(&mut self) {
        let written = super::manager::modified(&self.config);
        if written == self.read {
            return;
        }
        self.read = written;
        let loaded = airx::config::load(&self.config);
        for fault in &loaded.faults {
            tracing::warn!("configuration: {fault}");
        }
        self.reader.set_warnings(loaded.faults.iter().map(|fault| format!("configuration: {fault}")).collect());
        if !loaded.faults.is_empty() {
            tracing::warn!("the configuration has faults; the one before holds");
            return;
        }
        super::configure(&self.reader, &loaded.settings);
        self.courier.configure(&loaded.settings.notify);
        // This runs on the thread that empties the queue: when it is full, the next poll tries again.
        if self.sender.try_send(Message::Configure(Box::new(loaded.settings))).is_err() {
            self.read = None;
        }
    }

    /// Copies the database once a day, on a thread of its own.
    fn backup(&self) {
        let now = airx::os::now().utc;
        let date = jiff::Timestamp::from_millisecond(now.0).map(|at| at.strftime("%Y%m%d").to_string());
        let (Ok(date), false) = (date, self.backing_up.swap(true, Ordering::AcqRel)) else { return };
        let (database, directory, busy) = (self.home.database(), self.home.backups(), self.backing_up.clone());
        let work = move || {
            match airx::store::backup(&database, &directory, &date) {
                Ok(true) => tracing::info!(date, "the database was backed up"),
                Ok(false) => {}
                Err(error) => tracing::warn!("no backup: {error}"),
            }
            busy.store(false, Ordering::Release);
        };
        if let Err(error) = std::thread::Builder::new().name("backup".to_owned()).spawn(work) {
            tracing::warn!("no backup now, no thread can be started: {error}");
            self.backing_up.store(false, Ordering::Release);
        }
    }
}
