//! Generated scripts against a real shell: whatever is not refused carries its value in one piece and runs none of it.

use std::process::Command;

use proptest::prelude::*;

use super::*;

/// Blanks and `*` show an expansion outside of quotes; `QQ` and `ZZ` show where the value began and ended.
const VALUE: &str = "QQ  * $(touch pwned)`touch pwned`;'\"\\ ZZ";
const EXPRESSION: &str = "{{ params.x }}";

/// A piece of a word. What stands in `${…}`, arithmetic or backticks may be refused, which is fine.
fn word(script: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        4 => Just(EXPRESSION.to_owned()),
        2 => "[a-c=#{}.,-]{1,3}",
        1 => "'[a-c\"`$#(){} \\\\]{0,4}'",
        1 => "\\\\[a\"'`$#(){} \\\\]",
        1 => prop::sample::select(vec![
            "$", "$$", "${y}", "${#y}", "${y#'a'}", "\"${y%'\"'}\"", "$((1 + (2 * 3)))", "$'a'", "$'\\''", "$\"a\"", "`echo a`",
            "`echo \\`echo b\\``", "$(echo \")\")", "$(echo a # )'\n)", "$((echo a); echo b)", "$( (echo a) )", "\\\n",
        ]).prop_map(str::to_owned),
    ]
    .boxed();
    let inside = prop_oneof![
        3 => leaf.clone(),
        2 => "[a-c'#(){} ;\n]{1,4}",
        1 => script.clone().prop_map(|script| format!("$({script}\n)")),
    ]
    .boxed();
    prop_oneof![
        6 => leaf,
        3 => prop::collection::vec(inside.clone(), 0..4).prop_map(|parts| format!("\"{}\"", parts.concat())),
        1 => script.clone().prop_map(|script| format!("\"$({script})\"")),
        1 => script.clone().prop_map(|script| format!("$({script})")),
        1 => script.prop_map(|script| format!("`{}`", script.replace('`', ""))),
        1 => inside.clone().prop_map(|part| format!("${{y:-{part}}}")),
        1 => inside.clone().prop_map(|part| format!("\"${{y:-{part}}}\"")),
        1 => inside.clone().prop_map(|part| format!("\"${{y:-\"{part}\"}}\"")),
        1 => inside.prop_map(|part| format!("$(({part}))")),
    ]
    .boxed()
}

fn command(script: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let pieces = prop::collection::vec(word(script.clone()), 1..4).prop_map(|parts| parts.concat());
    let words = prop::collection::vec(pieces.boxed(), 1..4).prop_map(|words| words.join(" ")).boxed();
    let line = prop::collection::vec(
        prop_oneof![3 => Just(EXPRESSION.to_owned()), 2 => "[a-c'\"#(){} \\\\$]{1,4}", 1 => Just("$(echo a)".to_owned())],
        0..4,
    )
    .prop_map(|parts| parts.concat())
    .boxed();
    let here = prop::sample::select(vec!["<<E", "<<'E'", "<<\"E\"", "<<\\E", "<<-E", "<< E", "<<-\tE", "<<E'F'", "<<EF"]);
    prop_oneof![
        6 => words.clone().prop_map(|words| format!("p {words}")),
        2 => words.clone().prop_map(|words| format!("x={words}")),
        1 => line.clone().prop_map(|line| format!("p a # {line}\n")),
        2 => (here.clone(), line.clone(), line.clone()).prop_map(|(here, one, two)| format!("c {here}\n{one}\n{two}\n\tE\nE\nEF\n")),
        1 => (here, line.clone(), line).prop_map(|(here, one, two)| format!("c {here} <<F; p {{{{ params.x }}}}\n{one}\nE\nEF\n{two}\nF\n")),
        1 => script.clone().prop_map(|script| format!("({script}\n)")),
        1 => script.clone().prop_map(|script| format!("{{ {script}\n}}")),
        1 => (words.clone(), script.clone()).prop_map(|(word, script)| format!("case {word} in a) {script};; *) p {word};; esac")),
        1 => script.clone().prop_map(|script| format!("case a in (b|a) {script}\n;; esac")),
        1 => (words, script).prop_map(|(words, script)| format!("for i in {words}; do {script}\ndone")),
    ]
    .boxed()
}

fn scripts() -> BoxedStrategy<String> {
    let separator = prop::sample::select(vec!["; ", "\n", " && ", " | ", ";\\\n", "\n# it's\n"]);
    let mut script = Just("p a".to_owned()).boxed();
    for _ in 0..3 {
        let parts = prop::collection::vec((command(script.clone()), separator.clone()), 1..3);
        script = parts.prop_map(|parts| parts.iter().map(|(c, s)| format!("{c}{s}")).collect::<String>() + ":").boxed();
    }
    let noise = prop::sample::select(vec![
        "", "", "", "'", "\"", "`", "$", "\\", "(", ")", "#", "{", "}", "<<", "\n", " ", "$'", "((", "))",
    ]);
    (script, noise, any::<prop::sample::Index>())
        .prop_map(|(mut script, noise, at)| {
            let places: Vec<usize> = script.char_indices().map(|(place, _)| place).collect();
            script.insert_str(places[at.index(places.len())], noise);
            script
        })
        .boxed()
}

/// The script with another word for every expression that is refused; none when it is no template.
fn without_refused(mut script: String) -> Option<String> {
    let scope = Scope { params: ["x".to_owned()].into(), ..Scope::default() };
    loop {
        let faults = check_shell(&script, &scope);
        let Some(fault) = faults.last() else { return Some(script) };
        script[fault.offset..].starts_with(EXPRESSION).then_some(())?;
        script.replace_range(fault.offset..fault.offset + EXPRESSION.len(), "r");
    }
}

/// What the shell printed, and whether it ran what stands in the value.
fn printed(shell: &str, rendered: &RenderedShell) -> (String, bool) {
    let directory = tempfile::tempdir().unwrap();
    // Printing goes to a file of its own: what `$(…)` gives back may be split, as its author wrote it.
    let prelude = "exec 3>>out; p() { printf '<%s>' \"$@\" >&3; }; c() { cat >&3; }\n";
    Command::new(shell)
        .args(["-c", &format!("{prelude}{}", rendered.script)])
        .env_clear()
        .env("PATH", "/bin:/usr/bin")
        .envs(rendered.vars.iter().map(|(name, value)| (name, value)))
        .current_dir(directory.path())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let out = std::fs::read(directory.path().join("out")).unwrap_or_default();
    (String::from_utf8_lossy(&out).into_owned(), directory.path().join("pwned").exists())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn in_no_script_does_a_value_fall_apart_or_run(script in scripts()) {
        let context = Context { params: BTreeMap::from([("x".to_owned(), VALUE.into())]), ..Context::default() };
        let Some(script) = without_refused(script) else { return Ok(()) };
        let rendered = render_shell(&script, &context, 0).unwrap();
        for shell in ["/bin/sh", "/bin/bash"].into_iter().filter(|shell| std::path::Path::new(shell).exists()) {
            let (out, is_run) = printed(shell, &rendered);
            prop_assert!(!is_run, "{shell} ran it:\n{script}");
            let rest = out.replace(VALUE, "");
            let whole = !["QQ", "ZZ", "AIRX_V"].iter().any(|part| rest.contains(part));
            prop_assert!(whole, "in {shell} it fell apart:\n{script}\n--- printed\n{out}");
        }
    }
}
