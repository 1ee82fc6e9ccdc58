//! Where concrete types meet: the only part of the program that names who implements the manager's ports.

mod checks;
mod clock;
mod lock;
mod logging;
mod manager;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;

use airx::claude::render::Renderer;
use airx::cli::context::Services;
use airx::config::home::Home;
use airx::manager::ports::Reader;
use airx::store::StoreReader;

/// What the command line needs from the parts that it may not name.
pub fn services() -> Services {
    Services {
        reader: Box::new(offline),
        put: |dir, body, id| airx::runner::outbox::put(dir, body, id).map_err(|error| error.to_string()),
        renderer: || {
            let mut renderer = Renderer::new();
            Box::new(move |bytes| {
                let mut text = String::new();
                if bytes.is_empty() {
                    renderer.finish(&mut text);
                } else {
                    renderer.push(bytes, &mut text);
                }
                text
            })
        },
        claude_passed: |env| airx::claude::env::passed(|name| env.get(name).cloned()),
        manage: Box::new(manager::run),
        checks: Box::new(checks::all),
        repair: Box::new(checks::repair),
        running: |home| lock::running(&home.lock()),
    }
}

/// Reads a home without a manager.
fn offline(home: &Home) -> Arc<dyn Reader> {
    let reader = StoreReader::new(&home.path, &home.database());
    let settings = airx::config::load(&home.config()).settings;
    reader.set_slots(slots(&settings));
    Arc::new(reader)
}

fn slots(settings: &airx::model::settings::Settings) -> BTreeMap<String, u32> {
    settings.pools.iter().map(|(name, pool)| (name.clone(), pool.slots)).collect()
}
