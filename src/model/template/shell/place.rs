//! How an expression is written at a place of a shell script, or why none can stand there.

/// How a reference has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model::template) enum Place {
    /// Outside quotes: in double quotes of its own.
    Quote,
    /// Inside double quotes, an expanding here-document or a comment: as it is.
    Bare,
    /// Nowhere.
    Refuse(Doubt),
}

/// Why an expression cannot stand at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model::template) struct Doubt {
    /// Continues "`{{ x }}` …".
    pub why: &'static str,
    /// What to do.
    pub hint: &'static str,
}

const VARIABLE: &str = "assign it on the script's first line, x={{ … }}, and use \"$x\" here";

pub(super) const QUOTES: Doubt = Doubt {
    why: "stands in single quotes, where the shell expands nothing",
    hint: "use double quotes around it: the value is safe there",
};
pub(super) const BACKTICK: Doubt = Doubt { why: "stands in backticks", hint: "use $(…) instead of backticks" };
pub(super) const BRACE: Doubt = Doubt { why: "stands in `${…}`", hint: VARIABLE };
pub(super) const ARITHMETIC: Doubt = Doubt { why: "stands in `$((…))`, which evaluates it", hint: VARIABLE };
pub(super) const BACKSLASH: Doubt = Doubt { why: "follows a backslash", hint: "remove the backslash" };
pub(super) const DOLLAR: Doubt = Doubt { why: "follows a `$`", hint: "write it without the `$`: it is a value, not a name" };
pub(super) const DELIMITER: Doubt = Doubt { why: "stands in the name that ends a here-document", hint: "use a fixed name" };
pub(super) const QUOTED_HERE: Doubt = Doubt {
    why: "stands in a here-document in which the shell expands nothing",
    hint: "take the quotes off the name after `<<`",
};
pub(super) const IN_EXPANSION: Doubt = Doubt { why: "stands in an expansion of a here-document", hint: VARIABLE };
pub(super) const EVALUATED: Doubt = Doubt {
    why: "stands where a command reads its argument as a program",
    hint: "pass it as an argument of its own: sh -c 'echo \"$1\"' sh {{ … }}",
};
pub(super) const PROGRAM_HERE: Doubt = Doubt {
    why: "stands in a here-document that a shell reads as a program",
    hint: "quote the name after `<<` and pass the value as an argument: sh -s {{ … }} <<'END', then \"$1\"",
};
pub(super) const PIPED: Doubt = Doubt {
    why: "stands in a script that pipes text into a shell, which would read the value as a program",
    hint: "pass it as an argument of its own: sh -c 'echo \"$1\"' sh {{ … }}",
};
pub(super) const IN_HERE: Doubt =
    Doubt { why: "stands after a here-document with an expansion that shells read differently", hint: VARIABLE };
pub(super) const CASE: Doubt = Doubt { why: "stands after a `case` in parentheses", hint: VARIABLE };
pub(super) const NESTED_QUOTES: Doubt =
    Doubt { why: "stands after quotes in a quoted `${…}`, which shells read differently", hint: VARIABLE };
pub(super) const ANSI: Doubt =
    Doubt { why: "stands after `$'…'`, which shells read differently", hint: "use printf or double quotes instead" };
pub(super) const DOUBLE_PARENTHESIS: Doubt =
    Doubt { why: "stands after `((`, which shells read differently", hint: "put a blank between them" };
pub(super) const SUMS: Doubt =
    Doubt { why: "stands after a `$((…))` or `$[…]` that shells read differently", hint: VARIABLE };
pub(super) const CONTINUED: Doubt =
    Doubt { why: "stands after a line that is broken within an operator", hint: "break the line at a blank" };
pub(super) const LATE_HERE: Doubt =
    Doubt { why: "stands after a here-document that begins within another construct", hint: "end the line right after `<<NAME`" };
