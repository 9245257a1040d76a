//! A raw HTTP/1.1 client: one connection per request, bytes in, bytes out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::read::GzDecoder;
use serde_json::Value;
use sortie_sandbox::{Application, Config, Sandbox};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether all bytes came that `Content-Length` announced.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if self.header("content-encoding") == Some("gzip") {
            GzDecoder::new(&self.body[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(self.body.clone()).unwrap();
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// `error.code` of the body.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The ids of the items of `value`.
    pub(crate) fn ids(&self) -> Vec<String> {
        let value = self.json()["value"].as_array().cloned().unwrap_or_default();
        let id = |item: &Value| item.get("id").or(item.get("incidentId")).cloned().unwrap_or_default();
        value.iter().map(|item| id(item).to_string().trim_matches('"').to_owned()).collect()
    }

    pub(crate) fn next_link(&self) -> Option<String> {
        self.json().get("@odata.nextLink").and_then(Value::as_str).map(str::to_owned)
    }
}

/// A request to be sent.
#[derive(Debug)]
pub(crate) struct Ask {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

pub(crate) fn ask(method: &str, url: &str) -> Ask {
    Ask { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new() }
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("Content-Type", "application/json")
    }

    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        self.body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes();
        self.header("Content-Type", "application/x-www-form-urlencoded")
    }

    fn bytes(&self) -> (String, Vec<u8>) {
        let rest = self.url.split_once("://").unwrap().1;
        let (host, path) = rest.split_once('/').unwrap();
        let mut text = format!(
            "{} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.method,
            self.body.len()
        );
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        (host.to_owned(), bytes)
    }

    /// Sends it; `None` when the connection ends without a whole header.
    pub(crate) fn try_send(&self) -> Option<Answer> {
        self.send_within(Duration::from_secs(20)).0
    }

    /// Sends it and reads until the end or until nothing came for that long; says whether the wait ran out.
    pub(crate) fn send_within(&self, wait: Duration) -> (Option<Answer>, bool) {
        let (host, bytes) = self.bytes();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(wait)).unwrap();
        exchange(&mut stream, &bytes)
    }

    /// Sends it over an open stream.
    pub(crate) fn send_over(&self, stream: &mut (impl Read + Write)) -> Answer {
        exchange(stream, &self.bytes().1).0.unwrap()
    }

    pub(crate) fn send(&self) -> Answer {
        self.try_send().expect("an answer")
    }
}

fn exchange(stream: &mut (impl Read + Write), bytes: &[u8]) -> (Option<Answer>, bool) {
    stream.write_all(bytes).unwrap();
    let (mut all, mut chunk, mut late) = (Vec::new(), [0; 16 * 1024], false);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(&chunk[..read]),
            Err(error) => {
                late = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                break;
            }
        }
        if parse(&all).is_some_and(|answer| answer.whole && answer.header("content-length").is_some()) {
            break;
        }
    }
    (parse(&all), late)
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let body = bytes[end + 4..].to_vec();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.parse().ok());
    let whole = length.is_none_or(|length: usize| body.len() >= length);
    Some(Answer { status, headers, body, whole })
}

/// A sandbox and the tokens of its two applications.
pub(crate) struct Rig {
    pub(crate) sandbox: Sandbox,
}

pub(crate) const GRAPH: &str = "https://graph.microsoft.com/.default";
pub(crate) const XDR: &str = "https://api.security.microsoft.com/.default";
pub(crate) const MDE: &str = "https://api.securitycenter.microsoft.com/.default";

pub(crate) fn rig(config: Config) -> Rig {
    Rig { sandbox: Sandbox::start(config).unwrap() }
}

pub(crate) fn small() -> Rig {
    rig(Config {
        incidents: 120,
        machines: 8,
        clock: Some("2026-03-01T12:00:00Z".parse().unwrap()),
        clock_still: true,
        ..Config::default()
    })
}

impl Rig {
    pub(crate) fn token_url(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.sandbox.authority(), self.sandbox.tenant_id())
    }

    pub(crate) fn ask_token(&self, application: &Application, scope: &str) -> Answer {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &application.client_id),
            ("client_secret", application.secret()),
            ("scope", scope),
        ];
        ask("POST", &self.token_url()).form(&fields).send()
    }

    pub(crate) fn token(&self, application: &Application, scope: &str) -> String {
        let answer = self.ask_token(application, scope);
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    }

    pub(crate) fn base(&self, scope: &str) -> String {
        self.token(self.sandbox.base_application(), scope)
    }

    pub(crate) fn remediation(&self) -> String {
        self.token(self.sandbox.remediation_application(), MDE)
    }

    /// A request to Graph as the base application.
    pub(crate) fn graph(&self, method: &str, path: &str) -> Ask {
        ask(method, &format!("{}{path}", self.sandbox.graph())).bearer(&self.base(GRAPH))
    }

    /// A request to Defender XDR as the base application.
    pub(crate) fn xdr(&self, method: &str, path: &str) -> Ask {
        ask(method, &format!("{}{path}", self.sandbox.defender_xdr())).bearer(&self.base(XDR))
    }

    /// A request to Defender for Endpoint as the remediation application.
    pub(crate) fn mde(&self, method: &str, path: &str) -> Ask {
        ask(method, &format!("{}{path}", self.sandbox.defender_endpoint())).bearer(&self.remediation())
    }
}
