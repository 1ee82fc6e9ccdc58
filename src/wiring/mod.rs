//! Where concrete types meet: the only part of the program that names who implements the manager's ports.

mod checks;
mod clock;
mod clusters;
mod containers;
mod drops;
mod lock;
mod logging;
mod manager;
mod station;
mod upkeep;
mod workstation;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use airx::cli::context::{Context, Failure, Renderer, Services};
use airx::cli::doctor::Check;
use airx::config::home::Home;
use airx::manager::ports::Reader;
use airx::model::attempt::OutboxBody;
use airx::model::notice::{Notice, Notifier};
use airx::store::{ClaudeBounds, StoreReader};

/// The parts of this program, for the command line.
pub struct Program;

impl Services for Program {
    fn reader(&self, home: &Home) -> Arc<dyn Reader> {
        let reader = StoreReader::new(&home.path, &home.database()).in_zone(clock::offset_ms);
        configure(&reader, &airx::config::load(&home.config()).settings);
        Arc::new(reader)
    }

    fn put(&self, directory: &Path, body: OutboxBody, id: Option<&str>) -> Result<(u32, String), String> {
        airx::runner::outbox::put(directory, body, id).map_err(|error| error.to_string())
    }

    fn fits(&self, schema: &serde_json::Value, value: &serde_json::Value) -> Result<(), String> {
        airx::backend::checking::check(schema, value)
    }

    fn renderer(&self) -> Renderer {
        let mut renderer = airx::claude::render::Renderer::new();
        Box::new(move |bytes| {
            let mut text = String::new();
            if bytes.is_empty() {
                renderer.finish(&mut text);
            } else {
                renderer.push(bytes, &mut text);
            }
            text
        })
    }

    fn claude_passed(&self, env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        airx::claude::env::passed(|name| env.get(name).cloned())
    }

    fn manage(&self, context: &Context) -> Result<(), Failure> {
        manager::run(context)
    }

    fn workstation(&self, context: &Context) -> Result<i32, Failure> {
        workstation::run(context)
    }

    fn checks(&self, context: &Context) -> Vec<Check> {
        checks::all(context)
    }

    fn notify(&self, context: &Context, notifier: &Notifier, notice: &Notice) -> Result<String, String> {
        match airx::notify::order::Order::compose(notifier, notice, &context.home.path, &context.env)? {
            Some(order) => airx::notify::send(&order, &context.env, || {}),
            None => Err("only a terminal does that".to_owned()),
        }
    }

    fn repair(&self, context: &Context) -> Result<Vec<String>, Failure> {
        checks::repair(context)
    }

    fn running(&self, home: &Home) -> Option<u32> {
        lock::running(&home.lock())
    }
}

/// Tells a reader what its answers need of the configuration.
fn configure(reader: &StoreReader, settings: &airx::model::settings::Settings) {
    reader.set_slots(settings.pools.iter().map(|(name, pool)| (name.clone(), pool.slots)).collect());
    reader.set_claude(ClaudeBounds { max_parallel: settings.claude.max_parallel, day: settings.day_budget });
}
