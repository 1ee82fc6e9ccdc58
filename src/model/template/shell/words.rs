//! The words of a simple command, as far as they tell that it reads an argument as a program of its own: a value there
//! would become shell text after all.

/// Commands that evaluate their arguments.
const EVALUATE: [&str; 5] = ["eval", "let", "trap", "[[", "alias"];
/// Shells: their `-c` takes a script, and without one they read it from standard input.
const SHELLS: [&str; 12] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "yash", "fish", "csh", "tcsh", "SHELL"];
/// Programs that hand what follows `-c` to a shell.
const RUNNERS: [&str; 4] = ["su", "runuser", "script", "flock"];
/// Commands that read a script from a file, which may be their standard input.
const READ: [&str; 2] = [".", "source"];
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
    /// Some of the word was quoted or escaped: it is no keyword, though it may name a command.
    quoted: bool,
    /// The command's name was there.
    named: bool,
    /// Its arguments are evaluated.
    evaluates: bool,
    /// All of this stands inside of something that is evaluated.
    within: bool,
    /// A shell was named; its `-c` may follow.
    shell: bool,
    /// A shell was named, and nothing so far that it would read instead of standard input.
    reads: bool,
    /// No further word changes what the shell reads.
    settled: bool,
    /// The word before was an option that takes the next one, as `-o` does in `bash -o pipefail`.
    takes_next: bool,
    /// `.` was named: its operand says what it reads.
    sources: bool,
    /// The next word, or this one, is a shell's script.
    script: bool,
    /// What follows is a here-string.
    here_string: bool,
}

impl Words {
    /// A character, as the command will see it, or [`SOMETHING`].
    pub fn push(&mut self, c: char) {
        self.word.push(c);
    }

    /// Quotes begin, or one character is escaped: what is so written is the same word to the command.
    pub fn quote(&mut self) {
        self.quoted = true;
    }

    /// A redirection begins: what follows is its target, and no script. A number right before it is a descriptor's.
    /// True when the word that ends here is `case`.
    pub fn redirect(&mut self) -> bool {
        if !self.quoted && self.word.bytes().all(|byte| byte.is_ascii_digit()) {
            self.word.clear();
        }
        let is_case = self.end_word();
        self.settled |= self.reads;
        is_case
    }

    /// `<<<` was read.
    pub fn here_string(&mut self) {
        self.here_string = true;
    }

    /// Whether the command has no word so far.
    pub fn is_empty(&self) -> bool {
        self.word.is_empty() && !self.named && !self.reads
    }

    /// The word ends; true when it is `case`.
    pub fn end_word(&mut self) -> bool {
        let word = std::mem::take(&mut self.word);
        let quoted = std::mem::take(&mut self.quoted);
        if word.is_empty() {
            return false;
        }
        let is_option = word.starts_with(['-', '+']);
        self.script = (self.script && is_option) || (self.shell && is_short(&word, 'c'));
        let name = word.rsplit('/').next().unwrap_or_default().trim_start_matches(['$', '{']);
        let is_value = std::mem::replace(&mut self.takes_next, is_option && word.ends_with('o'));
        let is_device = word.starts_with("/dev/") || word.starts_with("/proc/");
        if self.sources {
            self.reads |= is_device;
        } else if SHELLS.contains(&name) && !self.settled {
            (self.shell, self.reads) = (true, true);
        } else if self.reads && !self.settled && !is_value {
            match () {
                () if is_device => self.settled = true,
                () if self.script || !is_option => (self.reads, self.settled) = (false, true),
                () if is_short(&word, 's') => self.settled = true,
                () => {}
            }
        }
        self.shell |= RUNNERS.contains(&name);
        if !self.named && !PREFIXES.contains(&word.as_str()) && !word.contains('=') {
            self.named = true;
            self.evaluates = EVALUATE.contains(&word.as_str());
            self.sources = READ.contains(&word.as_str());
        }
        word == "case" && !quoted
    }

    /// The command ends; its last word has ended.
    pub fn end_command(&mut self) {
        *self = Words { within: self.within, ..Words::default() };
    }

    /// The words of a command that stands inside of a word of this one.
    pub fn nested(&self) -> Words {
        Words { within: self.evaluates(), ..Words::default() }
    }

    /// Whether what stands here is evaluated once more.
    pub fn evaluates(&self) -> bool {
        self.within || self.evaluates || self.script || (self.here_string && self.reads)
    }

    /// Whether the command takes its standard input as a program. To be asked when its last word has ended.
    pub fn reads_program(&self) -> bool {
        self.reads
    }
}

/// Whether the word is short options that end with this one, such as `-ec`.
fn is_short(word: &str, option: char) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.ends_with(option)
}
