//! `airx mcp`: what a running task may ask, as an MCP server on standard input and output.
//!
//! The protocol is rmcp's; what the tools are and do is in [`tools`] and [`question`], which know nothing of it. One thread
//! speaks; what may block (the outbox's lock, the manager's answer) happens on a few others.

mod input;
mod question;
mod tools;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation, JsonObject,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ServerHandler, ServiceExt};

use tokio::sync::watch;

use super::attempt::Attempt;
use super::context::{Context, Failure};
use input::Input;
use question::Asking;
use tools::{Said, Tools};

/// Between two looks for an answer of a person.
const LOOK: Duration = Duration::from_millis(200);
/// Between two signs of life to a client that waits for an answer. Clients that go by the protocol wait on; the Claude CLI
/// needs none, since it is told a long timeout of its own.
const SIGN: Duration = Duration::from_secs(5);
/// Threads for what may block.
const THREADS: usize = 4;

/// Serves until standard input ends.
///
/// # Errors
/// Outside of a running task, and when the other side does not speak MCP.
pub(super) fn serve(context: &Context) -> Result<(), Failure> {
    let attempt = Attempt::needed(context, "mcp")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(THREADS + 2)
        .build()
        .map_err(|error| Failure::failed(format!("cannot begin to serve: {error}"), ""))?;
    let end = runtime.block_on(async {
        let (input, ended) = Input::new(tokio::io::stdin());
        let server = Server { tools: Arc::new(Tools::new(attempt)), ended };
        let running = server.serve((input, tokio::io::stdout())).await.map_err(|error| error.to_string())?;
        running.waiting().await.map(drop).map_err(|error| error.to_string())
    });
    // A thread that waits for the manager, or for further input, must not keep a client waiting that has left.
    runtime.shutdown_background();
    end.map_err(|why| Failure::failed(format!("the MCP session ended: {why}"), "an MCP client starts this, not a person"))
}

struct Server {
    tools: Arc<Tools>,
    /// Whether the client has left.
    ended: watch::Receiver<bool>,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("airx", env!("CARGO_PKG_VERSION")))
            .with_instructions(tools::INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let of = |tool: tools::Described| Tool::new(tool.name, tool.text, tool.schema);
        Ok(ListToolsResult::with_all_items(tools::all().into_iter().map(of).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let said = match request.name.as_ref() {
            "ask_human" => self.ask(arguments, &context).await,
            name if tools::NAMES.contains(&name) => {
                let name = request.name.clone();
                self.blocking(move |tools| tools.call(&name, arguments)).await
            }
            name => return Err(ErrorData::invalid_params(format!("there is no tool `{name}`"), None)),
        };
        Ok(match said {
            Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
            Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
        }
        .into())
    }
}

impl Server {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tools) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let tools = self.tools.clone();
        tokio::task::spawn_blocking(move || work(&tools)).await.unwrap_or_else(|error| Err(format!("a fault of airx: {error}")))
    }

    /// Asks a person and waits, for as long as the attempt lives and the client wants to know.
    async fn ask(&self, arguments: JsonObject, context: &RequestContext<RoleServer>) -> Said {
        let asking: Asking = self.blocking(move |tools| tools.ask(arguments)).await?;
        let token = context.meta.get_progress_token();
        let begun = Instant::now();
        let mut signs = 0_u32;
        let mut ended = self.ended.clone();
        loop {
            if let Some(said) = asking.look() {
                return said;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                // A sender that is gone means the same.
                _ = ended.wait_for(|ended| *ended) => return Err("nobody waits for the answer any more".to_owned()),
                () = context.ct.cancelled() => return Err("the question was given up".to_owned()),
            }
            let Some(token) = token.as_ref().filter(|_| begun.elapsed() >= SIGN * (signs + 1)) else { continue };
            signs += 1;
            let sign = ProgressNotificationParam::new(token.clone(), f64::from(signs)).with_message("waiting for a person");
            // A client that is gone ends the session anyhow.
            let _ = context.peer.notify_progress(sign).await;
        }
    }
}
