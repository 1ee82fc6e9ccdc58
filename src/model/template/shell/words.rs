//! The words of a simple command, as far as they tell that it reads an argument as a program of its own: a value there
//! would become shell text after all.

/// Commands that evaluate their arguments.
const EVALUATE: [&str; 4] = ["eval", "let", "trap", "[["];
/// Programs whose `-c` takes a script.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "ksh", "zsh", "su", "SHELL"];
/// Words before a command's name.
const PREFIXES: [&str; 19] = [
    "if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "command", "builtin", "exec", "env", "sudo", "nohup",
    "nice", "setsid", "xargs",
];

/// Stands in a word for what is quoted or expanded.
pub(super) const SOMETHING: char = '\u{fffc}';

/// What is known of the command so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    word: String,
    /// The command's name was there.
    named: bool,
    /// Its arguments are evaluated.
    evaluates: bool,
    /// All of this stands inside of something that is evaluated.
    within: bool,
    /// A shell was named; its `-c` may follow.
    shell: bool,
    /// The next word, or this one, is a shell's script.
    script: bool,
}

impl Words {
    /// A character outside of quotes, or [`SOMETHING`].
    pub fn push(&mut self, c: char) {
        self.word.push(c);
    }

    /// The word ends; true when it is `case`.
    pub fn end_word(&mut self) -> bool {
        let word = std::mem::take(&mut self.word);
        if word.is_empty() {
            return false;
        }
        let is_option = word.starts_with('-') && !word.starts_with("--");
        self.script = (self.script && is_option) || (self.shell && is_option && word.ends_with('c'));
        let name = word.rsplit('/').next().unwrap_or_default().trim_start_matches(['$', '{']);
        self.shell |= SHELLS.contains(&name);
        if !self.named && !PREFIXES.contains(&word.as_str()) && !word.contains('=') {
            self.named = true;
            self.evaluates = EVALUATE.contains(&word.as_str());
        }
        word == "case"
    }

    /// The command ends; true when its last word is `case`.
    pub fn end_command(&mut self) -> bool {
        let is_case = self.end_word();
        *self = Words { within: self.within, ..Words::default() };
        is_case
    }

    /// The words of a command that stands inside of a word of this one.
    pub fn nested(&self) -> Words {
        Words { within: self.evaluates(), ..Words::default() }
    }

    /// Whether what stands here is evaluated once more.
    pub fn evaluates(&self) -> bool {
        self.within || self.evaluates || self.script
    }
}
