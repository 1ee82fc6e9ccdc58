//! `airx notify test`: one notice through each notifier, so that a person learns before the night whether they work.

use std::io::IsTerminal;

use serde::Serialize;

use crate::model::notice::words::{Words, sample};
use crate::model::notice::{Kind, Means, Notice, Notifier, Ring, ring};

use super::args::Format;
use super::context::{Context, Failure};
use super::print::{self, Ink, cell};

/// What became of one.
#[derive(Serialize)]
struct Told {
    notifier: String,
    on: Vec<&'static str>,
    ok: bool,
    said: String,
}

pub(super) fn test(context: &Context) -> Result<i32, Failure> {
    let loaded = context.settings();
    context.warn(&loaded.faults);
    let notifiers = loaded.settings.notify;
    if notifiers.is_empty() {
        let hint = format!("add `notify:` to {}; `airx init` writes one with examples", context.config_path().display());
        return Err(Failure::input("the configuration has no notifier", hint));
    }
    let told: Vec<Told> = notifiers.iter().map(|notifier| tell(context, notifier)).collect();
    match context.global.output {
        Format::Table => print::out(&table(context, &told)),
        Format::Plain => {
            let word = |told: &Told| if told.ok { "ok" } else { "failed" };
            let rows = told.iter().map(|told| vec![word(told).into(), told.notifier.clone().into(), told.said.clone().into()]);
            print::out(&print::plain(&rows.collect::<Vec<_>>()));
        }
        format => print::out(&print::value(format, &told)),
    }
    Ok(i32::from(told.iter().any(|told| !told.ok)))
}

fn tell(context: &Context, notifier: &Notifier) -> Told {
    let notice = sample(notifier.on.first().copied().unwrap_or(Kind::Failed));
    let outcome = match notifier.means {
        Means::Terminal(ring) => ring_here(context, notifier, &notice, ring),
        _ => context.services.notify(context, notifier, &notice),
    };
    let (ok, said) = match outcome {
        Ok(said) => (true, said),
        Err(why) => (false, why),
    };
    Told { notifier: notifier.what(), on: notifier.on.iter().map(|kind| kind.word()).collect(), ok, said }
}

/// Standard error is the terminal, and what is printed for programs stays as it is.
fn ring_here(context: &Context, notifier: &Notifier, notice: &Notice, which: Ring) -> Result<String, String> {
    if !std::io::stderr().is_terminal() {
        return Err("there is no terminal here".to_owned());
    }
    let home = context.home.path.display().to_string();
    let words = Words::new(notifier, notice, &home).map_err(|error| error.to_string())?;
    let in_tmux = context.env.get("TMUX").is_some_and(|tmux| !tmux.is_empty());
    let bytes = ring::signal(which, &words.get("title"), &words.get("text"), in_tmux);
    use std::io::Write;
    std::io::stderr().write_all(bytes.as_bytes()).map_err(|error| error.to_string())?;
    Ok("sent to this terminal".to_owned())
}

fn table(context: &Context, told: &[Told]) -> String {
    let rows: Vec<_> = told
        .iter()
        .map(|told| {
            let (word, ink) = if told.ok { ("ok", Ink::Good) } else { ("FAILED", Ink::Bad) };
            let said = print::harmless(&told.said, 400);
            vec![cell(word, ink), cell(told.notifier.clone(), Ink::Bold), told.on.join(", ").into(), said.into()]
        })
        .collect();
    print::table(&context.printer, &["", "notifier", "on", "said"], &rows)
}
