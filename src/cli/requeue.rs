//! Running finished tasks again; what was paid for once is asked about first.

use std::io::{BufRead, IsTerminal};

use crate::api::client::Client;
use crate::model::ids::Address;
use crate::model::message::{Answer, Command, Done, Query, RequeueWhich, RerunView};

use super::args::RequeueArgs;
use super::context::{Context, Failure};
use super::{change, print, read, submit};

pub(super) fn requeue(context: &Context, args: &RequeueArgs) -> Result<(), Failure> {
    let which = match (args.all, args.from) {
        (true, _) => RequeueWhich::All,
        (_, true) => RequeueWhich::From,
        _ => RequeueWhich::Failed,
    };
    let params = submit::params(&args.params)?;
    let mut client = context.manager_or_start()?;
    let targets = change::targets(&mut client, &args.targets)?;
    let rerun = if args.yes && params.is_empty() { RerunView::default() } else { rerun(&mut client, &targets, which)? };
    if !args.yes && asks(&rerun, &targets, which) {
        let cost = read::printer_of(context, &mut client).money(rerun.cost_microusd);
        confirm(&question(&rerun, &cost))?;
    }
    let has_params = !params.is_empty();
    let done = client.command(Command::Requeue { targets, which, params })?;
    if has_params && !context.is_json() {
        let kept = match rerun.live {
            0 => String::new(),
            1 => "; the attempt that lives keeps the old ones".to_owned(),
            live => format!("; the {live} attempts that live keep the old ones"),
        };
        print::out(&format!("parameters set for what starts from now on{kept}\n"));
        if done == (Done::Affected { count: 0 }) {
            return Ok(());
        }
    }
    change::tell(
        context,
        &done,
        "requeued",
        "nothing to requeue: no task there has failed or was cancelled (--all takes finished ones too)",
    )
}

fn rerun(client: &mut dyn Client, targets: &[Address], which: RequeueWhich) -> Result<RerunView, Failure> {
    match client.query(Query::Rerun { targets: targets.to_vec(), which })?.body {
        Answer::Rerun(view) => Ok(view),
        _ => Err(read::unexpected()),
    }
}

/// A whole job of which something is finished; named tasks when that means more than themselves (instances), or cost something;
/// what comes after a task only when it cost something.
fn asks(rerun: &RerunView, targets: &[Address], which: RequeueWhich) -> bool {
    let is_whole = targets.iter().any(|target| target.task.is_none());
    let is_more = rerun.finished as usize > targets.len();
    match which {
        RequeueWhich::Failed => false,
        RequeueWhich::All => rerun.finished > 0 && (is_whole || is_more || rerun.cost_microusd > 0),
        RequeueWhich::From => rerun.finished > 0 && (is_whole || rerun.cost_microusd > 0),
    }
}

fn question(rerun: &RerunView, cost: &str) -> String {
    let (tasks, whose, last) = match rerun.finished {
        1 => ("1 finished task".to_owned(), "Its", "attempt"),
        count => (format!("{count} finished tasks"), "Their", "attempts"),
    };
    let cost = match rerun.cost_microusd {
        0 => String::new(),
        _ => format!(" {whose} last {last} cost {cost}."),
    };
    format!("Run {tasks} again?{cost}")
}

/// Asks on a terminal; elsewhere nobody is there to answer.
fn confirm(question: &str) -> Result<(), Failure> {
    let (input, shows) = (std::io::stdin(), std::io::stderr().is_terminal());
    if !input.is_terminal() || !shows {
        return Err(Failure::input(format!("this needs a yes: {question}"), "to say it beforehand: --yes"));
    }
    print::ask(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let is_read = input.lock().read_line(&mut answer).is_ok();
    if is_read && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::failed("nothing was requeued", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_how_many_and_what_they_cost() {
        let of = |finished, cost_microusd| question(&RerunView { finished, cost_microusd, live: 0 }, "$4.12");
        assert_eq!(of(12, 4_120_000), "Run 12 finished tasks again? Their last attempts cost $4.12.");
        assert_eq!(of(1, 4_120_000), "Run 1 finished task again? Its last attempt cost $4.12.");
        assert_eq!(of(2, 0), "Run 2 finished tasks again?");
    }

    #[test]
    fn only_what_is_finished_is_asked_about() {
        let (whole, one): (Address, Address) = ("j".parse().unwrap(), "j/a".parse().unwrap());
        let paid = RerunView { finished: 1, cost_microusd: 5, live: 0 };
        let free = RerunView { finished: 1, ..RerunView::default() };
        let asks = |view: &RerunView, target: &Address, which| asks(view, std::slice::from_ref(target), which);
        assert!(asks(&free, &whole, RequeueWhich::All) && asks(&paid, &one, RequeueWhich::From));
        assert!(!asks(&free, &one, RequeueWhich::From) && !asks(&paid, &whole, RequeueWhich::Failed));
        assert!(!asks(&RerunView::default(), &whole, RequeueWhich::All));
        // Of a mapped task all instances are run again.
        let mapped = RerunView { finished: 300, ..RerunView::default() };
        assert!(asks(&mapped, &one, RequeueWhich::All) && asks(&paid, &one, RequeueWhich::All));
        assert!(!asks(&free, &one, RequeueWhich::All));
    }
}
