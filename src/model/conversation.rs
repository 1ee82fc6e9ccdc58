//! A Claude run's transcript as people follow it: blocks of text, calls of tools with their results, how it ended.

/// A part of the conversation. Texts are as the transcript has them, clipped; whoever shows them makes them harmless.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// The session began, or was resumed.
    Session {
        /// Its id.
        id: String,
        /// The model.
        model: String,
        /// The permission mode.
        mode: String,
    },
    /// What Claude said, in Markdown.
    Said {
        /// The text.
        text: String,
        /// Above 0 for a subagent.
        depth: u8,
    },
    /// What it thought.
    Thought {
        /// The text.
        text: String,
        /// Above 0 for a subagent.
        depth: u8,
    },
    /// What it was told by a person.
    Prompted {
        /// The text.
        text: String,
        /// Above 0 for a subagent.
        depth: u8,
    },
    /// A call of a tool.
    Call(Call),
    /// What a tool answered to a call that is not in what was read.
    Result {
        /// The call's id.
        call: String,
        /// The answer.
        result: CallResult,
    },
    /// A tool waits for permission, or did.
    Question(Question),
    /// Something that a person should know.
    Notice {
        /// In a line or two.
        text: String,
        /// Whether it is a trouble.
        is_warning: bool,
    },
    /// How it ended.
    Ended(Ended),
    /// A line that is no event.
    Raw {
        /// The line.
        text: String,
    },
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call {
    /// By which its result is found.
    pub id: String,
    /// The tool.
    pub name: String,
    /// By which people recognise it: the command, the file, the pattern.
    pub argument: String,
    /// The whole input, as indented JSON, clipped.
    pub input: String,
    /// Above 0 for a subagent.
    pub depth: u8,
    /// What came back.
    pub result: Option<CallResult>,
}

/// What a tool answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallResult {
    /// Whether it failed.
    pub is_error: bool,
    /// In a word or two: `214 lines`, `exit 101`, `+3 -9`.
    pub summary: String,
    /// The text, clipped; its last line says what was left out.
    pub text: String,
}

/// A tool that asks for permission.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// By which its answer is found.
    pub key: String,
    /// The call that it is about.
    pub call: String,
    /// The tool.
    pub tool: String,
    /// By which people recognise the call.
    pub argument: String,
    /// None while it waits.
    pub answer: Option<Permission>,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// The tool was used.
    Allowed,
    /// It was not, or failed.
    Denied,
    /// It is not asked any more.
    Withdrawn,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended {
    /// Whether it failed.
    pub is_error: bool,
    /// The final text, or why it failed.
    pub text: String,
    /// `num_turns`.
    pub turns: Option<u64>,
    /// `total_cost_usd`.
    pub cost_usd: Option<f64>,
    /// `duration_ms`.
    pub duration_ms: Option<u64>,
    /// Tools that were denied.
    pub denials: Vec<String>,
}

/// Where an item of the list of things to do stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TodoState {
    /// Not begun.
    Pending,
    /// Being done.
    Active,
    /// Done.
    Done,
}

/// Reads a transcript piece by piece. Memory is bounded whatever it holds.
pub trait Transcript: Send {
    /// Takes further bytes.
    fn push(&mut self, bytes: &[u8]);
    /// The last line will not be completed any more.
    fn finish(&mut self);
    /// What there is; the oldest are dropped beyond a bound.
    fn blocks(&self) -> &std::collections::VecDeque<Block>;
    /// Blocks that were dropped.
    fn dropped(&self) -> usize;
    /// The number of the first block (dropped ones counted) that changed since it was last asked.
    fn take_changed(&mut self) -> Option<usize>;
    /// What is being written right now, where the transcript tells it piece by piece.
    fn writing(&self) -> Option<&Block>;
    /// The newest list of things to do.
    fn todo(&self) -> &[(TodoState, String)];
    /// Turns so far: messages of the main thread.
    fn turns(&self) -> u32;
    /// The ids of the first and the last of these messages; empty when there was none. A message that begins in one part of
    /// a transcript and goes on in the next is one turn.
    fn messages(&self) -> (&str, &str);
    /// Cost so far, in dollars; none before the first result.
    fn cost_usd(&self) -> Option<f64>;
}
