//! A person's side of questions, for tests.

use std::path::Path;

use airx::api::client::Client;
use airx::api::paths::SocketPaths;
use airx::api::socket::SocketClient;
use airx::model::message::{Answer as Page, Command, Query};
use airx::model::question::{Answer, QuestionView};

fn manager(home: &Path) -> SocketClient {
    let paths = SocketPaths::find(home).expect("the home's sockets");
    SocketClient::connect(&paths.control()).expect("a manager")
}

/// The questions that wait.
pub fn waiting(home: &Path) -> Vec<QuestionView> {
    match manager(home).query(Query::Questions { of: None, all: false, limit: 10 }).expect("an answer").body {
        Page::Questions(questions) => questions,
        other => panic!("{other:?}"),
    }
}

/// Answers one of them.
pub fn answer(home: &Path, question: u32, answer: Answer) {
    manager(home).command(Command::Answer { question, answer, by_name: None }).expect("it is taken");
}
