//! Here-documents (XCU 2.7.4): the name that ends one, and its body.

use super::{Doubt, IN_HERE};

/// A here-document that begins at the next line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Here {
    name: String,
    /// Some of the name was quoted: the shell expands nothing.
    quoted: bool,
    strip_tabs: bool,
    /// The `-` of `<<-` comes next.
    dash: bool,
    /// The name has begun.
    begun: bool,
    /// Within quotes of the name.
    quote: Option<char>,
    escaped: bool,
}

/// What a character of the name is.
pub(super) enum Name {
    /// A part of it.
    Part,
    /// What follows it.
    After,
    /// Something that shells read differently.
    Unclear,
}

impl Here {
    /// After the second `<`; `-` takes tabs off.
    pub fn new(strip_tabs: bool) -> Here {
        Here { strip_tabs, dash: strip_tabs, ..Here::default() }
    }

    /// Goes on over the name.
    pub fn name(&mut self, c: char) -> Name {
        if std::mem::take(&mut self.dash) {
            return Name::Part;
        }
        if std::mem::take(&mut self.escaped) {
            if c == '\n' {
                return Name::Unclear;
            }
            self.name.push(c);
            return Name::Part;
        }
        match (self.quote, c) {
            (Some(_), '\n' | '\\' | '$' | '`') | (None, '$' | '`') => return Name::Unclear,
            (Some(quote), c) if quote == c => self.quote = None,
            (Some(_), c) => self.name.push(c),
            (None, ' ' | '\t') if !self.begun => return Name::Part,
            (None, ' ' | '\t' | '\n' | ';' | '&' | '|' | '>' | '<' | '(' | ')') => {
                return if self.begun { Name::After } else { Name::Unclear };
            }
            (None, '\'' | '"') => (self.quoted, self.quote) = (true, Some(c)),
            (None, '\\') => (self.quoted, self.escaped) = (true, true),
            (None, c) => self.name.push(c),
        }
        self.begun = true;
        Name::Part
    }
}

/// The body of a here-document, as far as it was read.
#[derive(Debug, Clone)]
pub(super) struct Body {
    here: Here,
    /// A shell reads it as a program.
    program: bool,
    line: String,
    /// A backslash joined this line to the one before.
    joined: bool,
    escaped: bool,
    dollar: bool,
    /// What ends the plain expansion that this is in.
    closing: Option<char>,
}

impl Body {
    pub fn new(here: Here, program: bool) -> Body {
        Body { here, program, line: String::new(), joined: false, escaped: false, dollar: false, closing: None }
    }

    /// A shell reads it as a program.
    pub fn is_program(&self) -> bool {
        self.program
    }

    pub fn is_quoted(&self) -> bool {
        self.here.quoted
    }

    /// Right after a backslash.
    pub fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// Right after a `$`.
    pub fn is_dollar(&self) -> bool {
        self.dollar
    }

    /// Within an expansion.
    pub fn is_expansion(&self) -> bool {
        self.closing.is_some()
    }

    /// A value stands here.
    pub fn value(&mut self) {
        self.line.push('\u{fffc}');
    }

    /// Goes on over the body; true when it ends.
    ///
    /// # Errors
    /// A doubt: an expansion that is more than a name, or than a command without quotes. Shells do not agree whether
    /// such a one can hold the line that ends the body.
    pub fn take(&mut self, c: char) -> Result<bool, Doubt> {
        if c == '\n' && (self.here.quoted || !self.escaped) {
            if self.closing.is_some() {
                return Err(IN_HERE);
            }
            self.dollar = false;
            self.escaped = false;
            let line = std::mem::take(&mut self.line);
            let text = if self.here.strip_tabs { line.trim_start_matches('\t') } else { line.as_str() };
            if text == self.here.name {
                return if std::mem::take(&mut self.joined) { Err(IN_HERE) } else { Ok(true) };
            }
            // In `$(…)` bash also ends the body at a line that begins with the name and closes the parenthesis.
            if text.strip_prefix(self.here.name.as_str()).is_some_and(|rest| rest.contains(')')) {
                return Err(IN_HERE);
            }
            self.joined = false;
            return Ok(false);
        }
        if self.here.quoted {
            self.line.push(c);
            return Ok(false);
        }
        if std::mem::take(&mut self.escaped) {
            if c == '\n' {
                if self.closing.is_some() || self.dollar {
                    return Err(IN_HERE);
                }
                self.line.pop();
                self.joined = true;
            } else {
                self.line.push(c);
            }
            return Ok(false);
        }
        self.line.push(c);
        if let Some(closing) = self.closing {
            if c == closing {
                self.closing = None;
            } else if matches!(c, '\'' | '"' | '\\' | '`' | '$' | '(' | ')' | '{' | '}' | '#' | '<') {
                return Err(IN_HERE);
            }
            return Ok(false);
        }
        let dollar = std::mem::take(&mut self.dollar);
        match c {
            '\\' if dollar => return Err(IN_HERE),
            '\\' => self.escaped = true,
            '`' => self.closing = Some('`'),
            '(' if dollar => self.closing = Some(')'),
            '{' if dollar => self.closing = Some('}'),
            '[' if dollar => return Err(IN_HERE),
            '$' => self.dollar = !dollar,
            _ => {}
        }
        Ok(false)
    }
}
