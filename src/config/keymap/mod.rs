//! Which keys do what: bindings by scope, from embedded maps and the user's.

mod chord;
mod load;
#[cfg(test)]
mod tests;

pub use chord::{Chord, ChordFault, Key};
pub use load::load;

/// Stands for the action where more keys are to follow.
pub const MORE: &str = "…";

/// Keys that do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Where they hold.
    pub scope: &'static str,
    /// What is typed, one after another.
    pub keys: Vec<Chord>,
    /// What is done.
    pub action: &'static str,
}

/// The names that a keymap may use.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// All scopes.
    pub scopes: &'static [&'static str],
    /// All actions, each with the scope where it belongs; one of `global` may be bound anywhere.
    pub actions: &'static [(&'static str, &'static str)],
}

/// All bindings that hold. In one scope no sequence is the beginning of another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keymap {
    /// In the order of the files, the user's last.
    pub bindings: Vec<Binding>,
}

/// What typed keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This is to be done.
    Action(&'static str),
    /// More is to come: each next key with its action, or [`MORE`].
    Prefix(Vec<(Chord, &'static str)>),
    /// Nothing.
    Nothing,
}

impl Keymap {
    /// What `typed` means. Scopes are tried in order; the first that has the sequence, or one that begins with it, answers.
    pub fn find(&self, scopes: &[&str], typed: &[Chord]) -> Found {
        if typed.is_empty() {
            return Found::Nothing;
        }
        for scope in scopes {
            let mut next: Vec<(Chord, &'static str)> = Vec::new();
            for binding in self.bindings.iter().filter(|binding| binding.scope == *scope) {
                match binding.keys.strip_prefix(typed) {
                    None => {}
                    Some([]) => return Found::Action(binding.action),
                    Some([chord]) => next.push((*chord, binding.action)),
                    Some([chord, ..]) if next.iter().any(|(known, _)| known == chord) => {}
                    Some([chord, ..]) => next.push((*chord, MORE)),
                }
            }
            if !next.is_empty() {
                return Found::Prefix(next);
            }
        }
        Found::Nothing
    }

    /// The keys of an action as they are shown, the shortest first.
    pub fn keys_of(&self, action: &str) -> Vec<String> {
        let mut shown: Vec<String> = Vec::new();
        for binding in self.bindings.iter().filter(|binding| binding.action == action) {
            let keys = sequence_text(&binding.keys);
            if !shown.contains(&keys) {
                shown.push(keys);
            }
        }
        shown.sort_by_key(|keys| keys.chars().count());
        shown
    }
}

/// A sequence as it is shown, and as it may be written in a file.
fn sequence_text(keys: &[Chord]) -> String {
    keys.iter().map(Chord::to_string).collect::<Vec<_>>().join(" ")
}
