//! What a running task may ask: each verb proves by mark and token which attempt it is, and reaches that attempt's job alone.

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::api::wire::{Intake, MAX_OWN_TASKS, OwnTasks, Request, Response};
use crate::manager::handle::ClientMessage;
use crate::model::ids::{JobName, JobRef};
use crate::model::message::{Answer, Query, Refusal, RefusalCode};

use super::{Connection, settle};

impl Connection {
    pub(super) async fn task_verb(&mut self, request: &Request) -> Response {
        let id = request.id;
        match request.method.as_str() {
            "ping" => Response::ok(id, "pong"),
            "intake" => match arguments(request) {
                Ok(Intake { mark, token }) => {
                    let (sender, receiver) = oneshot::channel();
                    let reply = Box::new(move |answer| drop(sender.send(answer)));
                    self.shared.handle.send(ClientMessage::Intake { mark, token, reply });
                    settle(id, receiver).await
                }
                Err(error) => Response::error(id, -32602, error),
            },
            "tasks" => match arguments(request) {
                Ok(asked) => self.own_tasks(id, asked).await,
                Err(error) => Response::error(id, -32602, error),
            },
            other => Response::refused(id, forbidden(format!("`{other}` is not for tasks"))),
        }
    }

    async fn own_tasks(&self, id: Option<u64>, asked: OwnTasks) -> Response {
        let OwnTasks { mark, token, from, limit } = asked;
        let (sender, receiver) = oneshot::channel();
        let reply = Box::new(move |answer| drop(sender.send(answer)));
        self.shared.handle.send(ClientMessage::Prove { mark, token, reply });
        let JobName { name, number } = match receiver.await {
            Ok(Ok(job)) => job,
            Ok(Err(refusal)) => return Response::refused(id, refusal),
            Err(_) => return Response::error(id, -32603, "the manager left before it answered".to_owned()),
        };
        let job = JobRef { name, number: Some(number) };
        let query = Query::Tasks { job, from, limit: limit.min(MAX_OWN_TASKS), kinds: Vec::new() };
        match self.query(query).await {
            Ok(Ok(page)) => match page.body {
                Answer::Tasks(tasks) => Response::ok(id, tasks),
                _ => Response::error(id, -32603, "the store answered something else".to_owned()),
            },
            Ok(Err(refusal)) => Response::refused(id, refusal),
            Err(error) => Response::error(id, -32603, error),
        }
    }
}

fn arguments<T: DeserializeOwned>(request: &Request) -> Result<T, String> {
    serde_json::from_value(request.params.clone()).map_err(|error| error.to_string())
}

pub(super) fn forbidden(message: String) -> Refusal {
    Refusal {
        code: RefusalCode::Forbidden,
        message,
        hint: "a task may use `airx add`, `airx result`, `airx progress` and `airx mcp`, for its own job".to_owned(),
    }
}
