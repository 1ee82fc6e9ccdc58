//! Where in a shell script an expression stands: enough of the POSIX shell's quoting (XCU 2.2, 2.6, 2.7.4) to put a
//! variable reference there whose value the shell will never read as text of the script. Where that cannot be told for
//! certain, the expression is refused.

/// How a reference has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside quotes: in double quotes of its own.
    Quote,
    /// Inside double quotes, an expanding here-document or a comment: as it is.
    Bare,
    /// Nowhere.
    Refuse {
        /// Continues "`{{ x }}` …".
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
}

/// A quoting context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Single,
    Double,
    Comment,
    /// `$(…)` or `(…)`.
    Parenthesis,
    Backtick,
    /// `${…}`; whether it stands in double quotes.
    Brace(bool),
    /// `$((…))`, with its open parentheses.
    Arithmetic(u32),
}

/// A here-document that begins at the next line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Here {
    delimiter: String,
    quoted: bool,
    strip_tabs: bool,
}

/// Follows a script and knows the context of its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Lexer {
    stack: Vec<Context>,
    /// After a backslash that takes the next character.
    escaped: bool,
    /// The last character was an unescaped `$`.
    dollar: bool,
    /// The letters of the word so far, outside quotes.
    word: String,
    in_word: bool,
    announced: Vec<Here>,
    /// The here-document whose body this is, and its line so far.
    body: Option<(Here, String)>,
    /// The delimiter of a here-document is being read.
    delimiter: Option<Here>,
    less: u8,
    /// `case` patterns hold parentheses that close nothing.
    unsure: bool,
}

const QUOTES: Place = Place::Refuse {
    why: "stands in single quotes, where the shell expands nothing",
    hint: "use double quotes around it: the value is safe there",
};

impl Lexer {
    /// Goes on over text of the script.
    pub fn feed(&mut self, text: &str) {
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            self.character(character, characters.peek().copied());
        }
    }

    /// A reference was written here.
    pub fn value(&mut self) {
        self.in_word = true;
        self.word.push('\u{fffc}');
        self.dollar = false;
        self.less = 0;
        if let Some((_, line)) = &mut self.body {
            line.push('\u{fffc}');
        }
    }

    /// How a reference has to be written here.
    pub fn place(&self) -> Place {
        const UNSURE: &str = "assign it to a variable on a line of its own first: x={{ … }}, then use \"$x\"";
        if self.escaped {
            return Place::Refuse { why: "follows a backslash", hint: "remove the backslash" };
        }
        if self.dollar {
            return Place::Refuse { why: "follows a `$`", hint: "write it without the `$`: it is a value, not a name" };
        }
        if self.delimiter.is_some() {
            return Place::Refuse { why: "stands in the name that ends a here-document", hint: "use a fixed name" };
        }
        if let Some((here, line)) = &self.body {
            return match here.quoted {
                true => Place::Refuse {
                    why: "stands in a here-document in which the shell expands nothing",
                    hint: "take the quotes off the name after `<<`",
                },
                false if line.contains("$(") || line.contains('`') || line.contains("${") => {
                    Place::Refuse { why: "stands after an expansion in a here-document's line", hint: UNSURE }
                }
                false => Place::Bare,
            };
        }
        match self.stack.last() {
            Some(Context::Single) => QUOTES,
            Some(Context::Double | Context::Comment) => Place::Bare,
            Some(Context::Backtick) => Place::Refuse { why: "stands in backticks", hint: "use $(…) instead of backticks" },
            Some(Context::Brace(_)) => Place::Refuse { why: "stands in `${…}`", hint: UNSURE },
            Some(Context::Arithmetic(_)) => Place::Refuse { why: "stands in `$((…))`", hint: UNSURE },
            Some(Context::Parenthesis) | None if self.unsure => {
                Place::Refuse { why: "stands after a `case` in parentheses", hint: UNSURE }
            }
            Some(Context::Parenthesis) | None => Place::Quote,
        }
    }

    fn character(&mut self, c: char, next: Option<char>) {
        if self.body.is_some() {
            return self.in_body(c);
        }
        if std::mem::take(&mut self.escaped) {
            if let Some(here) = &mut self.delimiter {
                here.delimiter.push(c);
                here.quoted = true;
            }
            self.in_word = c != '\n' || self.in_word;
            return;
        }
        if self.delimiter.is_some() && !self.stack.last().is_some_and(|top| matches!(top, Context::Single | Context::Double)) {
            if self.in_delimiter(c) {
                return;
            }
        } else if let (Some(here), Some(Context::Single | Context::Double)) = (&mut self.delimiter, self.stack.last()) {
            let ends = matches!((self.stack.last(), c), (Some(Context::Single), '\'') | (Some(Context::Double), '"'));
            if ends {
                self.stack.pop();
            } else {
                here.delimiter.push(c);
            }
            return;
        }
        let dollar = std::mem::take(&mut self.dollar);
        match self.stack.last().copied() {
            Some(Context::Single) => {
                if c == '\'' {
                    self.stack.pop();
                }
            }
            Some(Context::Comment) => {
                if c == '\n' {
                    self.stack.pop();
                    self.newline();
                }
            }
            Some(Context::Arithmetic(open)) => self.arithmetic(c, open),
            Some(Context::Double) => self.quoted(c, next, dollar),
            Some(Context::Backtick) => match c {
                '`' => drop(self.stack.pop()),
                '\\' => self.escaped = true,
                _ => {}
            },
            Some(Context::Brace(in_double)) => match c {
                '}' => drop(self.stack.pop()),
                '\\' => self.escaped = true,
                '\'' if !in_double => self.stack.push(Context::Single),
                '"' => self.stack.push(Context::Double),
                '`' => self.stack.push(Context::Backtick),
                _ => self.expansion(c, next, dollar, in_double),
            },
            Some(Context::Parenthesis) | None => self.unquoted(c, next, dollar),
        }
    }

    fn quoted(&mut self, c: char, next: Option<char>, dollar: bool) {
        match c {
            '"' => drop(self.stack.pop()),
            '\\' => self.escaped = true,
            '`' => self.stack.push(Context::Backtick),
            _ => self.expansion(c, next, dollar, true),
        }
    }

    /// `$`, and what may follow it.
    fn expansion(&mut self, c: char, next: Option<char>, dollar: bool, in_double: bool) {
        match c {
            // `$$` is the shell's process id: the second one begins nothing.
            '$' => self.dollar = !dollar,
            '{' if dollar => self.stack.push(Context::Brace(in_double)),
            '(' if dollar && next == Some('(') => self.stack.push(Context::Arithmetic(0)),
            '(' if dollar => {
                self.stack.push(Context::Parenthesis);
                self.begin_word();
            }
            _ => {}
        }
    }

    fn arithmetic(&mut self, c: char, open: u32) {
        let open = match c {
            '(' => open + 1,
            // The last but one closes the second parenthesis of `$((`, the last the first.
            ')' if open <= 1 => {
                self.stack.pop();
                if open == 1 {
                    self.stack.push(Context::Parenthesis);
                }
                return;
            }
            ')' => open - 1,
            _ => open,
        };
        if let Some(Context::Arithmetic(count)) = self.stack.last_mut() {
            *count = open;
        }
    }

    fn unquoted(&mut self, c: char, next: Option<char>, dollar: bool) {
        let less = std::mem::take(&mut self.less);
        match c {
            '\\' => self.escaped = true,
            '\'' => {
                self.stack.push(Context::Single);
                self.in_word = true;
            }
            '"' => {
                self.stack.push(Context::Double);
                self.in_word = true;
            }
            '`' => {
                self.stack.push(Context::Backtick);
                self.in_word = true;
            }
            '#' if !self.in_word => self.stack.push(Context::Comment),
            '<' => {
                self.end_word();
                self.less = less + 1;
                if self.less == 2 && next != Some('<') {
                    self.delimiter = Some(Here::default());
                    self.less = 0;
                }
            }
            '\n' => self.newline(),
            ' ' | '\t' | ';' | '&' | '|' | '>' => self.end_word(),
            '(' if !dollar => {
                self.end_word();
                self.stack.push(Context::Parenthesis);
            }
            ')' => {
                self.end_word();
                if self.stack.last() == Some(&Context::Parenthesis) {
                    self.stack.pop();
                }
                // What follows `$(…)` directly belongs to the same word.
                self.in_word = true;
            }
            _ => {
                self.in_word = true;
                self.word.push(c);
                self.expansion(c, next, dollar, false);
            }
        }
    }

    /// Reads the name that ends a here-document; true when the character belongs to it.
    fn in_delimiter(&mut self, c: char) -> bool {
        let Some(here) = &mut self.delimiter else { return false };
        match c {
            '-' if here.delimiter.is_empty() && !here.quoted && !here.strip_tabs => here.strip_tabs = true,
            ' ' | '\t' if here.delimiter.is_empty() && !here.quoted => {}
            '\'' => {
                here.quoted = true;
                self.stack.push(Context::Single);
            }
            '"' => {
                here.quoted = true;
                self.stack.push(Context::Double);
            }
            '\\' => self.escaped = true,
            ' ' | '\t' | '\n' | ';' | '&' | '|' | '>' | '<' | '(' | ')' => {
                let here = self.delimiter.take().unwrap_or_default();
                self.announced.push(here);
                return false;
            }
            _ => here.delimiter.push(c),
        }
        true
    }

    fn in_body(&mut self, c: char) {
        let Some((here, line)) = &mut self.body else { return };
        if c != '\n' {
            line.push(c);
            // A backslash or `$` right before an expression is seen from the line's end.
            self.escaped = !here.quoted && line.ends_with('\\') && !line.ends_with("\\\\");
            self.dollar = !here.quoted && line.ends_with('$') && !line.ends_with("\\$");
            return;
        }
        (self.escaped, self.dollar) = (false, false);
        let text = if here.strip_tabs { line.trim_start_matches('\t') } else { line.as_str() };
        if text == here.delimiter {
            self.body = None;
            self.begin_body();
        } else {
            line.clear();
        }
    }

    fn newline(&mut self) {
        self.end_word();
        self.begin_body();
    }

    fn begin_body(&mut self) {
        if !self.announced.is_empty() {
            self.body = Some((self.announced.remove(0), String::new()));
        }
    }

    fn begin_word(&mut self) {
        self.word.clear();
        self.in_word = false;
    }

    fn end_word(&mut self) {
        if self.word == "case" && self.stack.contains(&Context::Parenthesis) {
            self.unsure = true;
        }
        self.begin_word();
    }
}
