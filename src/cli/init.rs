//! `airx init`: a configuration with every key explained, and homes that belong to a project.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use crate::config::home::{Home, register};

use super::context::{Context, Failure};
use super::print;

pub(super) fn init(context: &Context, project: bool) -> Result<(), Failure> {
    let home = if project { Home { path: context.cwd.join(".air-executor") } } else { Home { path: context.home.path.clone() } };
    home.create().map_err(|error| Failure::failed(error.to_string(), ""))?;
    if project {
        register(&home.path, &context.env).map_err(|error| Failure::failed(error.to_string(), ""))?;
    }
    let config = if project { home.config() } else { context.config_path() };
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&config);
    let line = match made {
        Ok(mut file) => {
            file.write_all(crate::config::template().as_bytes())
                .map_err(|error| Failure::failed(format!("cannot write {}: {error}", config.display()), ""))?;
            format!("wrote {}", config.display())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            format!("{} is there already, and stays", config.display())
        }
        Err(error) => return Err(Failure::failed(format!("cannot write {}: {error}", config.display()), "")),
    };
    if context.printer.for_people() {
        print::out(&format!("home {}\n{line}\n", home.path.display()));
    } else {
        print::out(&print::json(&serde_json::json!({ "home": home.path, "config": config })));
    }
    Ok(())
}
