//! What a task may be that a running task queues: whatever the queueing task could do itself, and nothing beyond.
//!
//! A command may do all that its user may, so it may queue anything but a credential of its choice. A Claude run is held by its
//! permission mode and its tool rules, and what it queues is held by the same ones: a rule that says less is fine, one that
//! says more is refused. Rules are the CLI's: `TOOL` or `TOOL(SPEC)`, and for Bash `PREFIX *` or `PREFIX:*` (its reference,
//! section 10).

use super::spec::{Action, ClaudeSpec};

/// Permission modes from the least that may be done to the most.
const MODES: [(&str, u8); 6] =
    [("plan", 0), ("default", 1), ("dontAsk", 1), ("acceptEdits", 2), ("auto", 3), ("bypassPermissions", 4)];
/// The mode without any permission rule.
const FREE: u8 = 4;

/// `action` as a task that does `parent` may queue it: what a Claude run leaves open is its parent's.
///
/// # Errors
/// What goes beyond the parent, and what to ask for instead.
pub fn restrain(action: Action, parent: &Action) -> Result<Action, String> {
    match (action, parent) {
        (Action::Claude(child), Action::Claude(parent)) => Ok(Action::Claude(Box::new(of_claude(*child, parent)?))),
        (Action::Claude(child), _) if child.auth.is_some() => {
            Err("which credential a task uses is said in the job file: leave `auth` out".to_owned())
        }
        (Action::Command { program, args }, Action::Claude(parent)) => {
            let words: Vec<&str> = std::iter::once(&program).chain(&args).map(String::as_str).collect();
            may_run(parent, Some(&words))?;
            Ok(Action::Command { program, args })
        }
        (Action::Run(text), Action::Claude(parent)) => {
            let words: Option<Vec<&str>> = is_plain(&text).then(|| text.split(' ').filter(|word| !word.is_empty()).collect());
            may_run(parent, words.as_deref())?;
            Ok(Action::Run(text))
        }
        (action, _) => Ok(action),
    }
}

fn of_claude(child: ClaudeSpec, parent: &ClaudeSpec) -> Result<ClaudeSpec, String> {
    let may = rank(parent.permission_mode.as_deref())?;
    if child.permission_mode.is_some() && rank(child.permission_mode.as_deref())? > may {
        let own = parent.permission_mode.as_deref().unwrap_or("default");
        return Err(format!(
            "permission_mode {} is beyond that of the task that queues it: ask for {own} or less, or leave it out",
            child.permission_mode.unwrap_or_default()
        ));
    }
    if let Some(rule) = child.allowed_tools.iter().find(|rule| may < FREE && !is_allowed(rule, parent)) {
        return Err(format!(
            "allowed_tools: `{rule}` is beyond what the task that queues it may use ({}): ask for a part of that, or leave it out",
            named(&parent.allowed_tools)
        ));
    }
    if let Some(dir) = child.add_dirs.iter().find(|dir| may < FREE && !parent.add_dirs.contains(dir)) {
        return Err(format!("add_dirs: the task that queues it has no `{dir}`: leave it out"));
    }
    if child.auth.is_some() && child.auth != parent.auth {
        return Err("which credential a task uses is said in the job file: leave `auth` out".to_owned());
    }
    if let (Some(asked), Some(own)) = (child.max_budget_usd, parent.max_budget_usd)
        && asked > own
    {
        return Err(format!("max_budget_usd {asked} is more than the {own} of the task that queues it: ask for less"));
    }
    if child.subtasks && !parent.subtasks {
        return Err("the task that queues it has no `subtasks: true` itself: leave `subtasks` out".to_owned());
    }
    Ok(ClaudeSpec {
        prompt: child.prompt,
        literal: child.literal,
        model: child.model.or_else(|| parent.model.clone()),
        permission_mode: child.permission_mode.or_else(|| parent.permission_mode.clone()),
        allowed_tools: or_else(child.allowed_tools, &parent.allowed_tools),
        disallowed_tools: joined(&parent.disallowed_tools, child.disallowed_tools),
        max_turns: child.max_turns.or(parent.max_turns),
        max_budget_usd: child.max_budget_usd.or(parent.max_budget_usd),
        append_system_prompt: child.append_system_prompt,
        add_dirs: or_else(child.add_dirs, &parent.add_dirs),
        json_schema: child.json_schema,
        subtasks: child.subtasks,
        // Whatever else there is belongs to the trust that the job file puts into the parent.
        ..parent.clone()
    })
}

fn rank(mode: Option<&str>) -> Result<u8, String> {
    let mode = mode.unwrap_or("default");
    let known = MODES.iter().find(|(name, _)| *name == mode).map(|(_, rank)| *rank);
    known.ok_or_else(|| format!("permission_mode `{mode}` is not known: it is one of {}", MODES.map(|(name, _)| name).join(", ")))
}

fn or_else(own: Vec<String>, parents: &[String]) -> Vec<String> {
    if own.is_empty() { parents.to_owned() } else { own }
}

fn joined(parents: &[String], own: Vec<String>) -> Vec<String> {
    let further = own.into_iter().filter(|rule| !parents.contains(rule));
    parents.iter().cloned().chain(further).collect()
}

fn named(rules: &[String]) -> String {
    if rules.is_empty() { "none beyond its permission mode".to_owned() } else { rules.join(", ") }
}

/// A rule in parts. None where the CLI might read several rules, or another one, than we do.
fn parts(rule: &str) -> Option<(&str, Option<&str>)> {
    let end = rule.find('(').unwrap_or(rule.len());
    let (tool, rest) = rule.split_at(end);
    let is_name = !tool.is_empty() && tool.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let spec = match rest.strip_prefix('(') {
        None => None,
        Some(rest) => Some(rest.strip_suffix(')').filter(|spec| !spec.contains(['(', ')', ',', '\n']))?),
    };
    is_name.then_some((tool, spec.filter(|spec| !matches!(*spec, "" | "*" | ":*"))))
}

fn is_allowed(rule: &str, parent: &ClaudeSpec) -> bool {
    let Some((tool, spec)) = parts(rule) else { return false };
    parent.allowed_tools.iter().any(|own| {
        own == rule
            || parts(own).is_some_and(|(own_tool, own_spec)| match (own_spec, spec) {
                (None, _) => own_tool == tool || is_of_server(tool, own_tool),
                (Some(own), Some(asked)) if tool == "Bash" && own_tool == tool => is_narrower(own, asked),
                _ => false,
            })
    })
}

/// Whether `tool` is one of the MCP server that the rule `server` allows as a whole.
fn is_of_server(tool: &str, server: &str) -> bool {
    let is_server = server.strip_prefix("mcp__").is_some_and(|name| !name.contains("__"));
    is_server && tool.strip_prefix(server).is_some_and(|rest| rest.starts_with("__"))
}

/// Whether a pattern of commands takes in no more than `own` does. Only words without any meaning to a shell are compared.
fn is_narrower(own: &str, asked: &str) -> bool {
    let prefix = pattern_prefix(asked);
    let text = prefix.unwrap_or(asked);
    let mut words: Vec<&str> = text.split(' ').collect();
    // `PREFIX:*` takes in whatever begins so, in the middle of a word too; `PREFIX *` does not.
    if asked.ends_with(":*") && !own.ends_with(":*") {
        words.pop();
    }
    is_plain(text) && is_matched(own, &words, prefix.is_some())
}

fn pattern_prefix(pattern: &str) -> Option<&str> {
    pattern.strip_suffix(" *").or_else(|| pattern.strip_suffix(":*"))
}

/// Whether the pattern `own` takes in a command that is, or begins with, these words.
fn is_matched(own: &str, words: &[&str], open: bool) -> bool {
    let prefix = pattern_prefix(own);
    let own_words: Vec<&str> = prefix.unwrap_or(own).split(' ').collect();
    is_plain(prefix.unwrap_or(own)) && if prefix.is_some() { words.starts_with(&own_words) } else { !open && words == own_words }
}

/// Whether a text holds only characters that no shell and no rule gives a meaning to.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || " _-./:@+".contains(c))
}

/// A command is as good as Bash: it needs the rule that Bash would need. None for words that only a shell can tell.
fn may_run(parent: &ClaudeSpec, words: Option<&[&str]>) -> Result<(), String> {
    let is_bash = |rule: &String| parts(rule).is_some_and(|(tool, _)| tool == "Bash");
    let forbidden = parent.disallowed_tools.iter().any(is_bash);
    let free = rank(parent.permission_mode.as_deref())? == FREE;
    let by_rule =
        parent.allowed_tools.iter().filter_map(|rule| parts(rule)).any(|(tool, spec)| {
            tool == "Bash" && spec.is_none_or(|own| words.is_some_and(|words| is_matched(own, words, false)))
        });
    if !forbidden && (free || by_rule) {
        return Ok(());
    }
    Err(format!(
        "the task that queues this command may not run it itself with Bash (it may use {}): queue a prompt for Claude, or let the \
         job file allow it, such as allowed_tools: [\"Bash(cargo *)\"]",
        named(&parent.allowed_tools)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::ClaudeAuth;

    fn texts(rules: &[&str]) -> Vec<String> {
        rules.iter().map(|rule| (*rule).to_owned()).collect()
    }

    fn parent(mode: Option<&str>, rules: &[&str]) -> ClaudeSpec {
        ClaudeSpec { permission_mode: mode.map(str::to_owned), allowed_tools: texts(rules), ..ClaudeSpec::default() }
    }

    fn queued(child: ClaudeSpec, parent: &ClaudeSpec) -> Result<ClaudeSpec, String> {
        match restrain(Action::Claude(Box::new(child)), &Action::Claude(Box::new(parent.clone())))? {
            Action::Claude(claude) => Ok(*claude),
            other => panic!("{other:?}"),
        }
    }

    fn rule(asked: &str, mode: Option<&str>, own: &[&str]) -> bool {
        queued(parent(None, &[asked]), &parent(mode, own)).is_ok()
    }

    fn command(words: &[&str], parent: &ClaudeSpec) -> Result<Action, String> {
        let action = Action::Command { program: words[0].to_owned(), args: texts(&words[1..]) };
        restrain(action, &Action::Claude(Box::new(parent.clone())))
    }

    #[test]
    fn what_a_child_leaves_open_is_its_parents() {
        let parent = ClaudeSpec {
            prompt: "plan".to_owned(),
            model: Some("opus".to_owned()),
            disallowed_tools: texts(&["WebFetch"]),
            max_turns: Some(9),
            max_budget_usd: Some(0.5),
            append_system_prompt: Some("You plan.".to_owned()),
            add_dirs: texts(&["/srv"]),
            json_schema: Some(serde_json::json!({})),
            auth: Some(ClaudeAuth::Env("KEY".to_owned())),
            subtasks: true,
            ..parent(Some("acceptEdits"), &["Read", "Bash(cargo *)"])
        };
        let child = ClaudeSpec { prompt: "do".to_owned(), literal: true, ..ClaudeSpec::default() };
        let expected = ClaudeSpec {
            prompt: "do".to_owned(),
            literal: true,
            append_system_prompt: None,
            json_schema: None,
            subtasks: false,
            ..parent.clone()
        };
        assert_eq!(queued(child, &parent), Ok(expected));
    }

    #[test]
    fn a_child_may_ask_for_less_and_never_for_more() {
        let own = parent(Some("acceptEdits"), &[]);
        let asks = |mode: &str| queued(parent(Some(mode), &[]), &own);
        for mode in ["plan", "default", "dontAsk", "acceptEdits"] {
            assert_eq!(asks(mode).unwrap().permission_mode.as_deref(), Some(mode));
        }
        for mode in ["auto", "bypassPermissions", "anything"] {
            assert!(asks(mode).unwrap_err().contains("permission_mode"), "{mode}");
        }
        assert!(queued(parent(Some("acceptEdits"), &[]), &parent(None, &[])).is_err(), "no mode is the mode `default`");
        let budget = |usd| ClaudeSpec { max_budget_usd: Some(usd), ..ClaudeSpec::default() };
        assert!(queued(budget(0.5), &budget(0.5)).is_ok());
        assert!(queued(budget(0.6), &budget(0.5)).unwrap_err().contains("0.5"));
        let subtasks = ClaudeSpec { subtasks: true, ..ClaudeSpec::default() };
        assert!(queued(subtasks.clone(), &subtasks).is_ok());
        assert!(queued(subtasks, &ClaudeSpec::default()).is_err());
        let dirs = |dir: &str| ClaudeSpec { add_dirs: texts(&[dir]), ..ClaudeSpec::default() };
        assert!(queued(dirs("/srv"), &dirs("/srv")).is_ok());
        assert!(queued(dirs("/"), &dirs("/srv")).is_err());
        let not = |tool: &str| ClaudeSpec { disallowed_tools: texts(&[tool]), ..ClaudeSpec::default() };
        assert_eq!(queued(not("Write"), &not("WebFetch")).unwrap().disallowed_tools, ["WebFetch", "Write"]);
    }

    #[test]
    fn a_tool_rule_must_lie_within_one_of_the_parents() {
        let own = &["Read", "Bash(cargo *)", "Bash(git log)", "Edit(src/**)", "mcp__docs"];
        for asked in [
            "Read",
            "Read(src/**)",
            "Bash(cargo *)",
            "Bash(cargo test:*)",
            "Bash(cargo test --workspace)",
            "Bash(git log)",
            "Edit(src/**)",
            "mcp__docs",
            "mcp__docs__find",
        ] {
            assert!(rule(asked, None, own), "{asked}");
        }
        for asked in [
            "Write",
            "Bash",
            "Bash(*)",
            "Bash()",
            "Bash(git log *)",
            "Bash(cargo)x",
            "Bash(cargoes *)",
            "Bash(cargo:*)",
            "Bash(cargo test; rm -rf x)",
            "Bash(cargo test && x *)",
            "Edit(**)",
            "Edit",
            "Read,Bash",
            "Read Bash",
            "Read(x),Bash(y)",
            "Read(a,Bash,b)",
            "Bash(cargo $(x))",
            "mcp__docsandmore__x",
            "mcp__*",
            "*",
            "",
            "(",
            "Read(",
            "reAD",
        ] {
            assert!(!rule(asked, None, own), "{asked}");
        }
        assert!(rule("Bash(cargo *)", None, &["Bash(cargo:*)"]));
        assert!(rule("Bash(git log *)", None, &["Bash"]));
        assert!(rule("Bash(git log *)", None, &["Bash(*)"]));
        assert!(rule("Write", Some("bypassPermissions"), &[]));
        assert!(!rule("mcp__docs__b", None, &["mcp__docs__a"]));
    }

    #[test]
    fn a_command_needs_the_rule_that_bash_would_need() {
        let cargo = parent(None, &["Bash(cargo *)", "Bash(git log)"]);
        assert!(command(&["cargo", "test", "a b; c"], &cargo).is_ok(), "no shell reads its arguments");
        assert!(command(&["git", "log"], &cargo).is_ok());
        assert!(command(&["git", "log", "-p"], &cargo).is_err());
        assert!(command(&["cargo x"], &cargo).is_err());
        assert!(command(&["rm"], &cargo).unwrap_err().contains("queue a prompt"));
        assert!(command(&["rm"], &parent(Some("acceptEdits"), &["Read"])).is_err());
        assert!(command(&["rm"], &parent(None, &["Bash"])).is_ok());
        assert!(command(&["rm"], &parent(Some("bypassPermissions"), &[])).is_ok());
        let not_bash = ClaudeSpec { disallowed_tools: texts(&["Bash(rm *)"]), ..parent(Some("bypassPermissions"), &["Bash"]) };
        assert!(command(&["rm"], &not_bash).is_err());
        let shell = |text: &str| restrain(Action::Run(text.to_owned()), &Action::Claude(Box::new(cargo.clone())));
        assert!(shell("cargo test  --workspace").is_ok());
        for text in ["cargo test; rm x", "cargo test\nrm x", "cargo test > x", "cargo $(rm x)", ""] {
            assert!(shell(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_job_file_says_which_credential_is_used() {
        let asks = ClaudeSpec { auth: Some(ClaudeAuth::Env("GITHUB_TOKEN".to_owned())), ..ClaudeSpec::default() };
        assert!(queued(asks.clone(), &ClaudeSpec::default()).unwrap_err().contains("auth"));
        assert!(queued(asks.clone(), &asks).is_ok());
        let child = || Action::Claude(Box::new(asks.clone()));
        assert!(restrain(child(), &Action::Run("true".to_owned())).is_err());
    }

    #[test]
    fn a_command_may_queue_what_its_user_may_do() {
        let free = Action::Claude(Box::new(parent(Some("bypassPermissions"), &["Bash"])));
        assert_eq!(restrain(free.clone(), &Action::Run("true".to_owned())), Ok(free));
    }
}
