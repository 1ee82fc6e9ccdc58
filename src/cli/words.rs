//! Wrong words: each is answered with the right one.

/// What people type who come from other tools, and the command that does it here.
const WORDS: &[(&str, &str)] = &[
    ("kill", "airx cancel --kill JOB[/TASK]"),
    ("abort", "airx cancel JOB[/TASK]"),
    ("retry", "airx requeue JOB[/TASK]"),
    ("rerun", "airx requeue JOB[/TASK]"),
    ("restart", "airx requeue JOB[/TASK]"),
    ("log", "airx logs JOB/TASK"),
    ("output", "airx logs JOB/TASK"),
    ("follow", "airx logs -f JOB/TASK"),
    ("tail", "airx logs -f JOB/TASK"),
    ("list", "airx jobs"),
    ("ls", "airx jobs"),
    ("ps", "airx status"),
    ("top", "airx status"),
    ("info", "airx show JOB[/TASK]"),
    ("describe", "airx show JOB[/TASK]"),
    ("start", "airx --daemon"),
    ("daemon", "airx --daemon"),
    ("server", "airx --daemon"),
    ("quit", "airx stop"),
    ("shutdown", "airx stop"),
    ("queue", "airx add -- CMD"),
    ("exec", "airx add -- CMD"),
    ("check", "airx validate FILE"),
    ("lint", "airx validate FILE"),
    ("template", "airx examples [NAME]"),
    ("templates", "airx examples [NAME]"),
    ("unpause", "airx resume [JOB]"),
    ("hold", "airx pause [JOB]"),
    ("rm", "airx cancel JOB[/TASK] (finished work goes by itself, see retention in the configuration)"),
    ("delete", "airx cancel JOB[/TASK] (finished work goes by itself, see retention in the configuration)"),
    ("help", "airx --help"),
    ("version", "airx --version"),
];

/// Commands of DESIGN that come with a later version.
const LATER: &[&str] = &["stats", "import", "export", "gc", "man"];

/// What to answer to a word that is no command: what is wrong, and what to type.
pub fn answer(word: &str, commands: &[&str]) -> (String, String) {
    if LATER.contains(&word) {
        return (format!("`airx {word}` is known, but not in this version"), "`airx --help` lists what there is".to_owned());
    }
    let what = format!("`{word}` is no command of airx");
    if let Some((_, right)) = WORDS.iter().find(|(wrong, _)| *wrong == word) {
        return (what, format!("type: {right}"));
    }
    if word.ends_with(".yaml") || word.ends_with(".yml") || word.ends_with(".json") || word.contains('/') {
        return (what, format!("type: airx run {word}"));
    }
    let nearest = commands
        .iter()
        .map(|command| (strsim::jaro_winkler(word, command), *command))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, command)) => (what, format!("did you mean `airx {command}`?")),
        None => (what, format!("`airx --help` lists the commands; `airx add -- {word}` queues it as a task")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_names_the_right_one() {
        let commands = ["run", "status", "requeue", "cancel"];
        for (wrong, right) in
            [("retry", "requeue"), ("kill", "cancel --kill"), ("statsu", "status"), ("job.yaml", "run job.yaml")]
        {
            assert!(answer(wrong, &commands).1.contains(right), "{wrong}");
        }
        assert!(answer("export", &commands).0.contains("not in this version"));
    }
}
