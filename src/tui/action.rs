//! The one table of actions: the keymaps bind their names, and help, palette, footer and the README's table are made of it.

/// What a person can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table says what each one does")]
pub enum Action {
    Quit,
    Help,
    Palette,
    NextPane,
    PreviousPane,
    Zoom,
    NewJob,
    PauseAll,
    Messages,
    Redraw,
    Suspend,
    Narrower,
    Wider,
    ToggleMouse,
    StartManager,
    Down,
    Up,
    PageDown,
    PageUp,
    First,
    Last,
    Fold,
    Unfold,
    FoldToggle,
    FoldAll,
    UnfoldAll,
    Open,
    Filter,
    ClearFilter,
    Sort,
    Mark,
    MarkAll,
    ClearMarks,
    FollowActive,
    NextFailed,
    Requeue,
    RequeueFailed,
    RequeueAll,
    RequeueFrom,
    Cancel,
    Kill,
    Pause,
    EditJob,
    Export,
    Copy,
    CopyName,
    ViewOutput,
    ViewDefinition,
    TabOutput,
    TabInfo,
    TabEvents,
    TabGraph,
    NextTab,
    PreviousTab,
    ScrollDown,
    ScrollUp,
    ScrollPageDown,
    ScrollPageUp,
    ScrollFirst,
    ScrollLast,
    ScrollLeft,
    ScrollRight,
    Follow,
    Wrap,
    Search,
    SearchNext,
    SearchPrevious,
    JumpTime,
    Stream,
    OlderAttempt,
    NewerAttempt,
    FoldLine,
    FoldAllLines,
    Back,
    GraphLeft,
    GraphRight,
    GraphUp,
    GraphDown,
    GraphOpen,
    Inbox,
    InboxDown,
    InboxUp,
    InboxPageDown,
    InboxPageUp,
    InboxFirst,
    InboxLast,
    InboxOpen,
    InboxBack,
    InboxOutput,
    Allow,
    AllowAlways,
    Deny,
    AllowEdited,
    Say,
    EditorSubmit,
    EditorClose,
    EditorTemplate,
    EditorExternal,
    DialogYes,
    DialogNo,
    DialogNext,
    DialogPrevious,
    DialogChoose,
    DialogWait,
    DialogLeave,
    DialogCancelAll,
}

/// Where an action can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everywhere but in text and questions.
    Global,
    /// The job tree.
    Tree,
    /// The task pane.
    Pane,
    /// Both: what is done to the selected job or task.
    Task,
    /// The graph.
    Graph,
    /// The inbox.
    Inbox,
    /// The editor of job files.
    Editor,
    /// Questions, lists and the help.
    Dialog,
}

impl Scope {
    /// All, in the order in which the help shows them.
    pub const ALL: [Scope; 8] =
        [Scope::Task, Scope::Tree, Scope::Pane, Scope::Graph, Scope::Inbox, Scope::Global, Scope::Editor, Scope::Dialog];

    /// The name in keymaps.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Global => "global",
            Scope::Tree => "tree",
            Scope::Pane => "pane",
            Scope::Task => "task",
            Scope::Graph => "graph",
            Scope::Inbox => "inbox",
            Scope::Editor => "editor",
            Scope::Dialog => "dialog",
        }
    }

    /// The heading in the help.
    pub fn title(self) -> &'static str {
        match self {
            Scope::Global => "Everywhere",
            Scope::Tree => "Job tree",
            Scope::Pane => "Task pane",
            Scope::Task => "The selected or marked jobs and tasks",
            Scope::Graph => "Graph",
            Scope::Inbox => "Inbox",
            Scope::Editor => "Editor",
            Scope::Dialog => "Questions and lists",
        }
    }
}

/// An action's row in the table.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// The action.
    pub action: Action,
    /// Its name in keymaps and in the palette.
    pub name: &'static str,
    /// Where it can be asked for.
    pub scope: Scope,
    /// What it does, in a line.
    pub doc: &'static str,
    /// Whether it is asked back before it is done.
    pub danger: bool,
    /// Its label in the footer; empty when it is not shown there.
    pub label: &'static str,
}

const fn row(action: Action, name: &'static str, scope: Scope, label: &'static str, doc: &'static str) -> Info {
    Info { action, name, scope, doc, danger: false, label }
}

const fn danger(action: Action, name: &'static str, label: &'static str, doc: &'static str) -> Info {
    Info { action, name, scope: Scope::Task, doc, danger: true, label }
}

/// Every action, in the order in which the help shows them.
pub const TABLE: &[Info] = &[
    row(Action::Requeue, "requeue", Scope::Task, "requeue", "run the task again; of a job what failed"),
    row(Action::RequeueFailed, "requeue-failed", Scope::Task, "", "run all failed tasks of the job again"),
    danger(Action::RequeueAll, "requeue-all", "", "run the whole job again"),
    danger(Action::RequeueFrom, "requeue-from", "", "run the task and all that comes after it again"),
    danger(Action::Cancel, "cancel", "cancel", "end it: ask, then insist after the grace"),
    danger(Action::Kill, "kill", "", "end it at once"),
    row(Action::Pause, "pause", Scope::Task, "pause", "start nothing new in the job, or go on"),
    row(Action::EditJob, "edit-job", Scope::Task, "", "edit the job's file and submit it as a new job"),
    row(Action::Export, "export", Scope::Task, "", "write the job, or the task's output, into a file here"),
    row(Action::Copy, "copy", Scope::Task, "", "copy the selected line or name"),
    row(Action::CopyName, "copy-name", Scope::Task, "", "copy the address for the command line"),
    row(Action::ViewOutput, "view-output", Scope::Task, "", "open the output in $PAGER"),
    row(Action::ViewDefinition, "view-definition", Scope::Task, "", "open the definition in $EDITOR"),
    row(Action::Down, "down", Scope::Tree, "", "next line"),
    row(Action::Up, "up", Scope::Tree, "", "line before"),
    row(Action::PageDown, "page-down", Scope::Tree, "", "a page down"),
    row(Action::PageUp, "page-up", Scope::Tree, "", "a page up"),
    row(Action::First, "first", Scope::Tree, "", "first line"),
    row(Action::Last, "last", Scope::Tree, "", "last line"),
    row(Action::Open, "open", Scope::Tree, "open", "look into it: the task pane"),
    row(Action::Fold, "fold", Scope::Tree, "", "fold, or go to the line above"),
    row(Action::Unfold, "unfold", Scope::Tree, "", "unfold"),
    row(Action::FoldToggle, "fold-toggle", Scope::Tree, "", "fold or unfold"),
    row(Action::FoldAll, "fold-all", Scope::Tree, "", "fold all jobs"),
    row(Action::UnfoldAll, "unfold-all", Scope::Tree, "", "unfold all jobs that are not over"),
    row(Action::Filter, "filter", Scope::Tree, "filter", "show only what matches: words, state:failed, pool:local"),
    row(Action::ClearFilter, "clear-filter", Scope::Tree, "", "show everything"),
    row(Action::Sort, "sort", Scope::Tree, "", "another order: newest, state, name, cost"),
    row(Action::Mark, "mark", Scope::Tree, "", "mark, for an action on several"),
    row(Action::MarkAll, "mark-all", Scope::Tree, "", "mark everything that is shown of the job"),
    row(Action::ClearMarks, "clear-marks", Scope::Tree, "", "take all marks away"),
    row(Action::FollowActive, "follow-active", Scope::Tree, "", "let the cursor follow what starts"),
    row(Action::NextFailed, "next-failed", Scope::Tree, "", "go to the next failed task"),
    row(Action::Back, "back", Scope::Pane, "back", "back to the tree"),
    row(Action::TabOutput, "tab-output", Scope::Pane, "", "what it wrote"),
    row(Action::TabInfo, "tab-info", Scope::Pane, "", "definition, environment, attempts and why each ended"),
    row(Action::TabEvents, "tab-events", Scope::Pane, "", "what happened to it"),
    row(Action::TabGraph, "tab-graph", Scope::Pane, "", "the job's graph"),
    row(Action::NextTab, "next-tab", Scope::Pane, "tab", "next tab"),
    row(Action::PreviousTab, "previous-tab", Scope::Pane, "", "tab before"),
    row(Action::ScrollDown, "scroll-down", Scope::Pane, "", "a line down"),
    row(Action::ScrollUp, "scroll-up", Scope::Pane, "", "a line up"),
    row(Action::ScrollPageDown, "scroll-page-down", Scope::Pane, "", "a page down"),
    row(Action::ScrollPageUp, "scroll-page-up", Scope::Pane, "", "a page up"),
    row(Action::ScrollFirst, "scroll-first", Scope::Pane, "", "to the beginning"),
    row(Action::ScrollLast, "scroll-last", Scope::Pane, "", "to the end, and follow it"),
    row(Action::ScrollLeft, "scroll-left", Scope::Pane, "", "long lines: to the left"),
    row(Action::ScrollRight, "scroll-right", Scope::Pane, "", "long lines: to the right"),
    row(Action::Follow, "follow", Scope::Pane, "follow", "stay at the end as more comes"),
    row(Action::Wrap, "wrap", Scope::Pane, "wrap", "break long lines, or not"),
    row(Action::Search, "search", Scope::Pane, "search", "search in the output"),
    row(Action::SearchNext, "search-next", Scope::Pane, "", "next match"),
    row(Action::SearchPrevious, "search-previous", Scope::Pane, "", "match before"),
    row(Action::JumpTime, "jump-time", Scope::Pane, "", "go to what was written at a time"),
    row(Action::Stream, "stream", Scope::Pane, "", "both streams, only stdout, only stderr"),
    row(Action::OlderAttempt, "older-attempt", Scope::Pane, "", "the attempt before"),
    row(Action::NewerAttempt, "newer-attempt", Scope::Pane, "", "the next attempt"),
    row(Action::FoldLine, "fold-line", Scope::Pane, "", "show or hide what a tool answered"),
    row(Action::FoldAllLines, "fold-all-lines", Scope::Pane, "", "show or hide all answers of tools"),
    row(Action::GraphLeft, "graph-left", Scope::Graph, "", "to what it needs"),
    row(Action::GraphRight, "graph-right", Scope::Graph, "", "to what needs it"),
    row(Action::GraphUp, "graph-up", Scope::Graph, "", "the one above"),
    row(Action::GraphDown, "graph-down", Scope::Graph, "", "the one below"),
    row(Action::GraphOpen, "graph-open", Scope::Graph, "", "select this task in the tree"),
    row(Action::Allow, "allow", Scope::Inbox, "allow", "let the tool be used as asked for, or approve"),
    row(Action::AllowAlways, "allow-always", Scope::Inbox, "always", "allow it, and never ask for it again in this job"),
    row(Action::Deny, "deny", Scope::Inbox, "deny", "deny or reject it, and say why"),
    row(Action::AllowEdited, "allow-edited", Scope::Inbox, "edit", "change the tool's input, then allow that"),
    row(Action::Say, "say", Scope::Inbox, "answer", "answer in words, or approve with a comment"),
    row(Action::InboxOpen, "inbox-open", Scope::Inbox, "read", "to the request"),
    row(Action::InboxBack, "inbox-back", Scope::Inbox, "back", "back to the list, or out of the inbox"),
    row(Action::InboxOutput, "inbox-output", Scope::Inbox, "output", "to what the task wrote; inbox comes back"),
    row(Action::InboxDown, "inbox-down", Scope::Inbox, "", "next question, or next line of the request"),
    row(Action::InboxUp, "inbox-up", Scope::Inbox, "", "question before, or line before"),
    row(Action::InboxPageDown, "inbox-page-down", Scope::Inbox, "", "the request: a page down"),
    row(Action::InboxPageUp, "inbox-page-up", Scope::Inbox, "", "the request: a page up"),
    row(Action::InboxFirst, "inbox-first", Scope::Inbox, "", "to the beginning of the request"),
    row(Action::InboxLast, "inbox-last", Scope::Inbox, "", "to the end of the request"),
    row(Action::Inbox, "inbox", Scope::Global, "inbox", "what waits for you: questions and approvals"),
    row(Action::NewJob, "new-job", Scope::Global, "new", "write a new job"),
    row(Action::PauseAll, "pause-all", Scope::Global, "", "start nothing new anywhere, or go on"),
    row(Action::Palette, "palette", Scope::Global, "palette", "find an action by its name"),
    row(Action::Help, "help", Scope::Global, "help", "all keys"),
    row(Action::NextPane, "next-pane", Scope::Global, "", "to the other pane"),
    row(Action::PreviousPane, "previous-pane", Scope::Global, "", "to the other pane"),
    row(Action::Zoom, "zoom", Scope::Global, "", "one pane over the whole screen, or both"),
    row(Action::Narrower, "narrower", Scope::Global, "", "make the tree narrower"),
    row(Action::Wider, "wider", Scope::Global, "", "make the tree wider"),
    row(Action::Messages, "messages", Scope::Global, "", "messages and faults of the configuration once more"),
    row(Action::StartManager, "start-manager", Scope::Global, "", "start a manager in the background when none runs"),
    row(Action::ToggleMouse, "toggle-mouse", Scope::Global, "", "take the mouse, or leave it to the terminal"),
    row(Action::Redraw, "redraw", Scope::Global, "", "draw everything anew"),
    row(Action::Suspend, "suspend", Scope::Global, "", "to the shell; fg comes back"),
    row(Action::Quit, "quit", Scope::Global, "quit", "leave the workstation"),
    row(Action::EditorSubmit, "editor-submit", Scope::Editor, "submit", "submit the job"),
    row(Action::EditorTemplate, "editor-template", Scope::Editor, "template", "another template"),
    row(Action::EditorExternal, "editor-external", Scope::Editor, "$EDITOR", "go on in $EDITOR"),
    row(Action::EditorClose, "editor-close", Scope::Editor, "close", "close; the text is kept"),
    row(Action::DialogYes, "dialog-yes", Scope::Dialog, "yes", "yes"),
    row(Action::DialogNo, "dialog-no", Scope::Dialog, "close", "no, close"),
    row(Action::DialogNext, "dialog-next", Scope::Dialog, "down", "next line"),
    row(Action::DialogPrevious, "dialog-previous", Scope::Dialog, "up", "line before"),
    row(Action::DialogChoose, "dialog-choose", Scope::Dialog, "choose", "this one"),
    row(Action::DialogLeave, "dialog-leave", Scope::Dialog, "", "leaving: a background manager goes on"),
    row(Action::DialogWait, "dialog-wait", Scope::Dialog, "", "leaving: once everything is over"),
    row(Action::DialogCancelAll, "dialog-cancel-all", Scope::Dialog, "", "leaving: cancel everything first"),
];

impl Action {
    /// Its row.
    pub fn info(self) -> &'static Info {
        TABLE.iter().find(|info| info.action == self).unwrap_or(&TABLE[0])
    }

    /// The action of this name.
    pub fn named(name: &str) -> Option<Action> {
        TABLE.iter().find(|info| info.name == name).map(|info| info.action)
    }
}

/// Names and scopes, for reading keymaps.
pub fn known() -> crate::config::keymap::Known {
    const SCOPES: &[&str] = &["global", "tree", "task", "pane", "graph", "inbox", "editor", "dialog"];
    static ACTIONS: std::sync::OnceLock<Vec<(&'static str, &'static str)>> = std::sync::OnceLock::new();
    let actions = ACTIONS.get_or_init(|| TABLE.iter().map(|info| (info.name, info.scope.name())).collect());
    crate::config::keymap::Known { scopes: SCOPES, actions }
}
