//! A POST request: bounded in time, tries and answer; no redirects.

use std::time::Duration;

use ureq::http::StatusCode;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error};

/// Longest time for one try, from the name's look-up to the answer's headers.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Waits before the second and the third try.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Sends it, three times at most while the network or the server fails; what was answered. The answer's body is not read.
///
/// # Errors
/// Why it was not taken, in words without the address, which may be a secret.
pub(super) fn post(url: &str, headers: &[(String, String)], body: &str) -> Result<String, String> {
    let agent = agent();
    let mut waits = AGAIN.iter();
    loop {
        let (why, is_worth_more) = match once(&agent, url, headers, body) {
            Ok(status) if status.is_success() => return Ok(format!("answered {}", status.as_u16())),
            Ok(status) if status.is_redirection() => (
                format!("answered {}, a redirect, which is not followed: write the address that it leads to", status.as_u16()),
                false,
            ),
            Ok(status) => {
                let is_passing =
                    status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
                (format!("answered {}", status.as_u16()), is_passing)
            }
            Err(error) => told(&error, url),
        };
        match waits.next().filter(|_| is_worth_more) {
            Some(wait) => std::thread::sleep(*wait),
            None if is_worth_more => return Err(format!("{why}, {} times", AGAIN.len() + 1)),
            None => return Err(why),
        }
    }
}

fn agent() -> Agent {
    // What this system trusts, the certificates of one's own company too; a container without any trusts what browsers do.
    let native = rustls_native_certs::load_native_certs().certs;
    let roots = if native.is_empty() {
        RootCerts::WebPki
    } else {
        RootCerts::from(native.iter().map(|certificate| Certificate::from_der(certificate).to_owned()))
    };
    let config = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("airx/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots).build());
    config.build().into()
}

fn once(agent: &Agent, url: &str, headers: &[(String, String)], body: &str) -> Result<StatusCode, Error> {
    let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let mut request = agent.post(url);
    if !has_type {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send(body).map(|answer| answer.status())
}

/// Why it failed, and whether another try may help.
fn told(error: &Error, url: &str) -> (String, bool) {
    match error {
        Error::BadUri(_) | Error::Http(_) => ("the address or a header cannot be used".to_owned(), false),
        Error::HostNotFound => ("its host is not found".to_owned(), true),
        Error::Timeout(_) => (format!("no answer within {} s", TIMEOUT.as_secs()), true),
        other => {
            let why = other.to_string().replace(url, "the address");
            let is_mistrusted = why.contains("certificate");
            let hint = if is_mistrusted { " (SSL_CERT_FILE names further certificates to trust)" } else { "" };
            (format!("{why}{hint}"), !is_mistrusted)
        }
    }
}
