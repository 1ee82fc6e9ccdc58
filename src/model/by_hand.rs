//! How a person goes on with a run's session in a shell.

use super::credential::CONFIG_DIR;
use super::spec::{EnvValue, JobSpec, TaskSpec};

/// The command that continues a session: in the task's workspace (a session belongs to its directory), with the configuration it
/// was made under.
pub fn command(job: &JobSpec, task: &TaskSpec, session: &str) -> String {
    let workspace = task.workspace.as_ref().unwrap_or(&job.workspace).display().to_string();
    let own = task.env.get(CONFIG_DIR).or_else(|| job.env.get(CONFIG_DIR));
    let config = match own {
        Some(EnvValue::Text(text)) => Some(text.as_str()),
        Some(EnvValue::From(_)) => None,
        None => job.claude_env.get(CONFIG_DIR).or_else(|| job.passed_env.get(CONFIG_DIR)).map(String::as_str),
    };
    let config = config.map(|dir| format!("{CONFIG_DIR}={} ", shell_word(dir))).unwrap_or_default();
    format!("cd {} && {config}claude --resume {}", shell_word(&workspace), shell_word(session))
}

/// A text as one word of a shell command.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_in_a_shell() {
        assert_eq!(shell_word("/srv/a-b_1"), "/srv/a-b_1");
        assert_eq!(shell_word("/srv/it's $HOME"), r"'/srv/it'\''s $HOME'");
        assert_eq!(shell_word(""), "''");
    }
}
