//! Where in a shell script an expression stands: enough of the POSIX shell's quoting (XCU 2.2, 2.6, 2.7.4) to put a
//! variable reference there whose value the shell will never read as text of the script.
//!
//! What shells read differently, or what this reading does not follow, leaves a [`Doubt`]: it lasts, and every expression
//! after it is refused. So a mistake here costs a refusal, never a value that is run. What other programs make of their
//! arguments (`ssh`, `python -c`) is beyond it; of commands that evaluate theirs the usual ones are known.

mod here;
mod place;
mod words;

use here::{Body, Here, Name};
use place::{
    ANSI, ARITHMETIC, BACKSLASH, BACKTICK, BRACE, CASE, CONTINUED, DELIMITER, DOLLAR, DOUBLE_PARENTHESIS, EVALUATED,
    IN_EXPANSION, IN_HERE, LATE_HERE, NESTED_QUOTES, PIPED, PROGRAM_HERE, QUOTED_HERE, QUOTES, SUMS,
};
pub(super) use place::{Doubt, Place};
use words::{SOMETHING, Words};

/// A quoting context.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Context {
    Single,
    /// Whether it stands in a quoted `${…}`.
    Double(bool),
    Comment,
    /// `(…)`.
    Subshell,
    /// `$(…)`.
    Substitution,
    Backtick,
    /// `${…}`; whether it is quoted.
    Brace(bool),
    /// `$((…))`, with the parentheses that are open in it.
    Arithmetic(u32),
}

/// Follows a script and knows the context of its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Lexer {
    stack: Vec<Context>,
    /// The words of the commands around this one, one for each `(` or `$(`.
    outer: Vec<Words>,
    words: Words,
    in_word: bool,
    /// After a backslash that takes the next character.
    escaped: bool,
    /// The last character was an unescaped `$`.
    dollar: bool,
    /// The last character, outside of here-documents.
    last: Option<char>,
    /// Here-documents whose bodies begin at the next line, and how deep they stand.
    announced: Vec<(Here, usize)>,
    body: Option<Body>,
    /// Some command of this line takes its standard input as a program.
    line_reads: bool,
    /// The command may read from a `|` before it.
    piped: bool,
    /// A reference was written somewhere.
    has_value: bool,
    /// A doubt about references that were written already.
    late: Option<Doubt>,
    /// The name of a here-document is being read.
    naming: Option<Here>,
    doubt: Option<Doubt>,
}

impl Lexer {
    /// Goes on over text of the script.
    pub fn feed(&mut self, text: &str) {
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            if self.doubt.is_some() {
                return;
            }
            self.character(character, characters.peek().copied());
            self.last = Some(character);
        }
    }

    /// A reference was written here.
    pub fn value(&mut self) {
        self.has_value = true;
        if let Some(body) = &mut self.body {
            return body.value();
        }
        self.in_word = true;
        self.words.push(SOMETHING);
        self.dollar = false;
        self.last = Some(SOMETHING);
    }

    /// What is wrong with the references so far, as only what follows them shows; told once.
    pub fn late(&mut self) -> Option<Doubt> {
        self.late.take()
    }

    /// The script ends here.
    pub fn finish(&mut self) {
        if self.body.is_none() && self.doubt.is_none() {
            self.end_command();
        }
    }

    /// How a reference has to be written here.
    pub fn place(&self) -> Place {
        if let Some(doubt) = self.doubt {
            return Place::Refuse(doubt);
        }
        if let Some(body) = &self.body {
            return match () {
                () if body.is_program() => Place::Refuse(PROGRAM_HERE),
                () if body.is_quoted() => Place::Refuse(QUOTED_HERE),
                () if body.is_escaped() => Place::Refuse(BACKSLASH),
                () if body.is_dollar() => Place::Refuse(DOLLAR),
                () if body.is_expansion() => Place::Refuse(IN_EXPANSION),
                () => Place::Bare,
            };
        }
        if self.naming.is_some() {
            return Place::Refuse(DELIMITER);
        }
        if self.escaped {
            return Place::Refuse(BACKSLASH);
        }
        if self.dollar && !matches!(self.stack.last(), Some(Context::Single | Context::Comment)) {
            return Place::Refuse(DOLLAR);
        }
        match self.stack.last() {
            Some(Context::Single) => Place::Refuse(QUOTES),
            Some(Context::Comment) => Place::Bare,
            Some(Context::Backtick) => Place::Refuse(BACKTICK),
            Some(Context::Brace(_) | Context::Double(true)) => Place::Refuse(BRACE),
            Some(Context::Arithmetic(_)) => Place::Refuse(ARITHMETIC),
            _ if self.words.evaluates() => Place::Refuse(EVALUATED),
            Some(Context::Double(false)) => Place::Bare,
            Some(Context::Subshell | Context::Substitution) | None => Place::Quote,
        }
    }

    fn character(&mut self, c: char, next: Option<char>) {
        if let Some(body) = &mut self.body {
            match body.take(c) {
                Ok(true) => self.begin_body(),
                Ok(false) => {}
                Err(doubt) => self.doubt = Some(doubt),
            }
            return;
        }
        if let Some(here) = &mut self.naming {
            match here.name(c) {
                Name::Part => return,
                Name::Unclear => return self.doubt = Some(DELIMITER),
                Name::After => {
                    let here = std::mem::take(here);
                    self.naming = None;
                    self.announced.push((here, self.stack.len()));
                }
            }
        }
        if std::mem::take(&mut self.escaped) {
            self.in_word |= c != '\n';
            if c != '\n' {
                self.words.quote();
                self.words.push(c);
            }
            return;
        }
        let dollar = std::mem::take(&mut self.dollar);
        let plain = !matches!(self.stack.last(), Some(Context::Single | Context::Comment | Context::Backtick));
        if plain && c == '\\' && next == Some('\n') && matches!(self.last, Some('$' | '<' | '(' | '{')) {
            return self.doubt = Some(CONTINUED);
        }
        if plain && dollar && c == '[' {
            return self.doubt = Some(SUMS);
        }
        match self.stack.last().copied() {
            Some(Context::Single) => self.single(c),
            Some(Context::Comment) => self.comment(c),
            Some(Context::Backtick) => self.backtick(c),
            Some(Context::Arithmetic(open)) => self.arithmetic(c, next, dollar, open),
            Some(Context::Double(in_brace)) => self.double(c, next, dollar, in_brace),
            Some(Context::Brace(quoted)) => self.brace(c, next, dollar, quoted),
            Some(Context::Subshell | Context::Substitution) | None => self.unquoted(c, next, dollar),
        }
        if c == '\n' && !self.announced.is_empty() && self.body.is_none() {
            // Only at the end of a command's own line it is certain where the body begins.
            self.doubt = Some(LATE_HERE);
        }
    }

    fn single(&mut self, c: char) {
        match c {
            '\'' => drop(self.stack.pop()),
            _ => self.words.push(c),
        }
    }

    fn comment(&mut self, c: char) {
        if c == '\n' {
            self.stack.pop();
            self.newline();
        }
    }

    fn backtick(&mut self, c: char) {
        match c {
            '\\' => self.escaped = true,
            '`' => drop(self.stack.pop()),
            _ => {}
        }
    }

    fn double(&mut self, c: char, next: Option<char>, dollar: bool, in_brace: bool) {
        match c {
            '"' => {
                self.stack.pop();
            }
            '\\' => self.escaped = true,
            '`' => self.stack.push(Context::Backtick),
            '\'' | '}' if in_brace => self.doubt = Some(NESTED_QUOTES),
            _ => {
                self.words.push(c);
                self.expansion(c, next, dollar, true);
            }
        }
    }

    fn brace(&mut self, c: char, next: Option<char>, dollar: bool, quoted: bool) {
        match c {
            '}' => {
                self.stack.pop();
            }
            '\\' => self.escaped = true,
            '\'' if quoted || dollar => self.doubt = Some(NESTED_QUOTES),
            '\'' => self.stack.push(Context::Single),
            '"' => self.stack.push(Context::Double(true)),
            '`' => self.stack.push(Context::Backtick),
            // `${ command; }` and `${| command; }` of newer shells.
            ' ' | '\t' | '\n' | '|' if self.last == Some('{') => self.doubt = Some(NESTED_QUOTES),
            _ => {
                self.words.push(c);
                self.expansion(c, next, dollar, quoted);
            }
        }
    }

    /// `$`, and what may follow it.
    fn expansion(&mut self, c: char, next: Option<char>, dollar: bool, quoted: bool) {
        match c {
            // `$$` is the shell's process id: the second one begins nothing.
            '$' => self.dollar = !dollar,
            '{' if dollar => self.stack.push(Context::Brace(quoted)),
            '(' if dollar && next == Some('(') => self.stack.push(Context::Arithmetic(0)),
            '(' if dollar => self.begin(Context::Substitution),
            _ => {}
        }
    }

    /// From the first parenthesis of `$((` on; the second counts as open.
    fn arithmetic(&mut self, c: char, next: Option<char>, dollar: bool, open: u32) {
        let open = match c {
            '(' if dollar => return self.expansion(c, next, dollar, true),
            '(' => open + 1,
            ')' if open == 0 => {
                self.stack.pop();
                return;
            }
            // `$((a); b)` is a command: the second parenthesis must close right before the first.
            ')' if open == 1 && next != Some(')') => return self.doubt = Some(SUMS),
            ')' => open - 1,
            '\'' | '"' | '`' | '\\' | ';' | '\n' | '{' if !(c == '{' && dollar) => return self.doubt = Some(SUMS),
            _ => return self.expansion(c, next, dollar, true),
        };
        if let Some(Context::Arithmetic(count)) = self.stack.last_mut() {
            *count = open;
        }
    }

    fn unquoted(&mut self, c: char, next: Option<char>, dollar: bool) {
        match c {
            '\\' => self.escaped = true,
            '\'' if dollar => self.doubt = Some(ANSI),
            '\'' => self.quote(Context::Single),
            '"' => self.quote(Context::Double(false)),
            '`' => self.quote(Context::Backtick),
            '#' if !self.in_word => self.stack.push(Context::Comment),
            '<' => {
                let is_second = self.last == Some('<');
                self.redirect();
                match (is_second, next) {
                    (true, Some('<')) => self.words.here_string(),
                    (true, _) => self.naming = Some(Here::new(next == Some('-'))),
                    (false, _) => {}
                }
            }
            '\n' => self.newline(),
            ' ' | '\t' => self.end_word(),
            '>' => self.redirect(),
            '|' => {
                self.end_command();
                self.piped |= next != Some('|') && self.last != Some('|');
            }
            ';' | '&' => self.end_command(),
            '(' if !dollar && (next == Some('(') || self.last == Some('(')) => self.doubt = Some(DOUBLE_PARENTHESIS),
            '(' if !dollar => {
                self.end_command();
                self.begin(Context::Subshell);
            }
            ')' => self.close(),
            _ => {
                self.in_word = true;
                self.words.push(c);
                self.expansion(c, next, dollar, false);
            }
        }
    }

    fn quote(&mut self, context: Context) {
        self.stack.push(context);
        self.in_word = true;
        match context {
            Context::Backtick => self.words.push(SOMETHING),
            _ => self.words.quote(),
        }
    }

    fn redirect(&mut self) {
        let is_case = self.words.redirect();
        self.ended(is_case);
    }

    fn begin(&mut self, context: Context) {
        self.stack.push(context);
        let nested = self.words.nested();
        self.outer.push(std::mem::replace(&mut self.words, nested));
        self.in_word = false;
    }

    fn close(&mut self) {
        self.end_command();
        if self.doubt.is_some() || self.announced.iter().any(|(_, depth)| *depth >= self.stack.len() && *depth > 0) {
            self.doubt = self.doubt.or(Some(LATE_HERE));
            return;
        }
        let closed = match self.stack.last() {
            Some(Context::Subshell | Context::Substitution) => self.stack.pop(),
            // The end of a pattern of `case`.
            _ => return,
        };
        self.words = self.outer.pop().unwrap_or_default();
        self.words.push(SOMETHING);
        // What follows `$(…)` belongs to the same word; what follows `(…)` does not.
        self.in_word = closed == Some(Context::Substitution);
    }

    fn newline(&mut self) {
        // What stands in parentheses after a `|`, and what follows a `|` on the next line, still reads from it.
        self.piped &= self.words.is_empty() || !self.stack.is_empty();
        self.end_command();
        if self.announced.first().is_some_and(|(_, depth)| *depth == self.stack.len()) && self.doubt.is_none() {
            self.begin_body();
        } else {
            self.line_reads = false;
        }
    }

    /// The body of the next here-document of this line, if there is one.
    fn begin_body(&mut self) {
        self.body = match self.announced.is_empty() {
            true => None,
            false => Some(Body::new(self.announced.remove(0).0, self.line_reads)),
        };
        self.line_reads &= self.body.is_some();
    }

    fn end_word(&mut self) {
        let is_case = self.words.end_word();
        self.ended(is_case);
    }

    fn end_command(&mut self) {
        let is_case = self.words.end_word();
        if self.words.reads_program() {
            self.line_reads = true;
            if self.piped && self.has_value {
                self.late = Some(PIPED);
            }
        }
        self.words.end_command();
        self.ended(is_case);
    }

    fn ended(&mut self, is_case: bool) {
        self.in_word = false;
        if is_case && self.stack.iter().any(|open| matches!(open, Context::Subshell | Context::Substitution)) {
            self.doubt = Some(CASE);
        }
    }
}
