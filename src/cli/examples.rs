//! `airx examples`: job files that people can use as they are, from `assets/examples`.

use serde_json::json;

use super::context::{Context, Failure};
use super::print::{self, Ink, cell};

macro_rules! examples {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../assets/examples/", $name, ".yaml")))),*]
    };
}

/// Their names and texts.
const EXAMPLES: &[(&str, &str)] =
    examples!("fix-warnings", "write-tests", "upgrade-dependencies", "review-branches", "refresh-docs", "plan-then-execute");

/// Lists them, or prints one.
pub(super) fn examples(context: &Context, name: Option<&str>) -> Result<(), Failure> {
    let Some(name) = name else {
        list(context);
        return Ok(());
    };
    let Some((_, text)) = EXAMPLES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = EXAMPLES.iter().map(|(known, _)| *known).collect();
        return Err(Failure::input(format!("there is no example `{name}`"), format!("there are {}", known.join(", "))));
    };
    print::out(text);
    Ok(())
}

fn list(context: &Context) {
    if !context.printer.for_people() {
        let all: Vec<_> = EXAMPLES.iter().map(|(name, text)| json!({ "name": name, "description": description(text) })).collect();
        print::out(&print::value(context.printer.format, &all));
        return;
    }
    let row = |(name, text): &(&str, &str)| vec![cell(*name, Ink::Bold), description(text).into()];
    print::out(&print::table(&context.printer, &["example", "does"], &EXAMPLES.iter().map(row).collect::<Vec<_>>()));
    print::out("\nairx examples NAME >NAME.yaml, in your repository, and airx run NAME.yaml\n");
}

/// What an example says that it does.
fn description(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("description: ")).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test says so by a panic")]
mod tests {
    use super::*;

    #[test]
    fn each_example_has_its_name_and_says_what_it_does() {
        for (name, text) in EXAMPLES {
            assert!(text.contains(&format!("\nname: {name}\n")) && !description(text).is_empty(), "{name}");
        }
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/examples")).unwrap();
        assert_eq!(files.count(), EXAMPLES.len(), "all files of assets/examples are listed");
    }
}
