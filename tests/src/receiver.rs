//! A receiver of webhooks that remembers everything: each delivery with its headers and body, and what became of it.
//!
//! It does what receivers do to a sender: takes, refuses, is slow, is down, and takes a delivery and dies before it
//! says so. What it does to a delivery is decided by a function that a test sets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the receiver does to a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status and these headers.
    With(u16, Vec<(String, String)>),
    /// Answers with this status, so much later.
    Late(Duration, u16),
    /// Takes it and ends the connection without an answer: the sender cannot know.
    TakeAndCut,
}

/// A delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When it was read to its end.
    pub at: Instant,
    /// The same by the calendar, for the age of its signature.
    pub received: SystemTime,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
    /// What was done with it.
    pub answer: Answer,
    /// How many deliveries were being answered at that moment, this one included.
    pub at_once: u64,
}

impl Delivery {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The record.
    ///
    /// # Panics
    /// When the body is not JSON.
    pub fn record(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|problem| panic!("not JSON ({problem}): {}", self.body))
    }

    /// Whether the receiver kept it.
    pub fn taken(&self) -> bool {
        match &self.answer {
            Answer::Status(status) | Answer::With(status, _) | Answer::Late(_, status) => (200..300).contains(status),
            Answer::TakeAndCut => true,
        }
    }

    /// Checks the signature as the Standard Webhooks specification tells a receiver to, with a key as it is configured
    /// (`whsec_` and base64).
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn verify(&self, key: &str) -> Result<(), String> {
        let header = |name: &str| self.header(name).ok_or_else(|| format!("there is no {name} header"));
        let (id, timestamp, signatures) =
            (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
        let seconds: u64 = timestamp.parse().map_err(|_| format!("webhook-timestamp {timestamp}"))?;
        let now = self.received.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        if now.abs_diff(seconds) > 300 {
            return Err(format!("webhook-timestamp {timestamp} is {} s off", now.abs_diff(seconds)));
        }
        let secret = STANDARD.decode(key.trim_start_matches("whsec_")).map_err(|problem| problem.to_string())?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let signed = format!("{id}.{timestamp}.{}", self.body);
        let valid = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).any(|one| {
            STANDARD.decode(one).is_ok_and(|signature| hmac::verify(&key, signed.as_bytes(), &signature).is_ok())
        });
        if valid { Ok(()) } else { Err(format!("no signature of `{signatures}` is of that key")) }
    }
}

type Decide = Box<dyn FnMut(&Delivery) -> Answer + Send>;

struct Shared {
    deliveries: Mutex<Vec<Delivery>>,
    decide: Mutex<Decide>,
    down: AtomicBool,
    ended: AtomicBool,
    answering: AtomicU64,
    turned_away: AtomicU64,
}

/// A running receiver.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// A receiver that takes everything.
    ///
    /// # Panics
    /// When no port is free.
    pub fn new() -> Self {
        Self::at(0)
    }

    /// A receiver at this port that takes everything.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
        let address = listener.local_addr().expect("the port");
        let shared = Arc::new(Shared {
            deliveries: Mutex::default(),
            decide: Mutex::new(Box::new(|_| Answer::Status(200))),
            down: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            answering: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || serve(&shared, stream));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Decides from now on what is done with a delivery. The function sees it before the answer is known.
    pub fn decide(&self, decide: impl FnMut(&Delivery) -> Answer + Send + 'static) {
        *lock(&self.shared.decide) = Box::new(decide);
    }

    /// While it is down, connections end without an answer and nothing is taken.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// How many requests came while it was down.
    pub fn turned_away(&self) -> u64 {
        self.shared.turned_away.load(Ordering::SeqCst)
    }

    /// Everything that was read to its end, in that order.
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.shared.deliveries).clone()
    }

    /// The records that it took, in the order in which they came; repeats included.
    pub fn taken(&self) -> Vec<Value> {
        self.deliveries().iter().filter(|delivery| delivery.taken()).map(Delivery::record).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, so that its thread ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection: requests until either side ends it.
fn serve(shared: &Shared, stream: TcpStream) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader, shared) {
        if shared.down.load(Ordering::SeqCst) || shared.ended.load(Ordering::SeqCst) {
            shared.turned_away.fetch_add(1, Ordering::SeqCst);
            let _ = writer.shutdown(Shutdown::Both);
            return;
        }
        let at_once = shared.answering.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = {
            let (headers, body) = request;
            let mut delivery = Delivery {
                at: Instant::now(),
                received: SystemTime::now(),
                headers,
                body,
                answer: Answer::TakeAndCut,
                at_once,
            };
            delivery.answer = lock(&shared.decide)(&delivery);
            let answer = delivery.answer.clone();
            lock(&shared.deliveries).push(delivery);
            answer
        };
        let (status, headers) = match answer {
            Answer::Status(status) => (status, Vec::new()),
            Answer::With(status, headers) => (status, headers),
            Answer::Late(wait, status) => {
                thread::sleep(wait);
                (status, Vec::new())
            }
            Answer::TakeAndCut => {
                shared.answering.fetch_sub(1, Ordering::SeqCst);
                let _ = writer.shutdown(Shutdown::Both);
                return;
            }
        };
        shared.answering.fetch_sub(1, Ordering::SeqCst);
        let mut text = format!("HTTP/1.1 {status} Answer\r\ncontent-length: 2\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\nok");
        if writer.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// Headers and body of the next request; none when the connection ended, or broke, before the request did.
fn read_request(reader: &mut BufReader<TcpStream>, shared: &Shared) -> Option<(Vec<(String, String)>, String)> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    if shared.down.load(Ordering::SeqCst) {
        shared.turned_away.fetch_add(1, Ordering::SeqCst);
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((headers, String::from_utf8(body).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_checked_as_the_specification_says() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key of 24 bytes, or so");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        let signature = STANDARD.encode(hmac::sign(&key, format!("msg_1.{now}.{{}}").as_bytes()));
        let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", &now)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut delivery = Delivery {
            at: Instant::now(),
            received: SystemTime::now(),
            headers: headers.to_vec(),
            body: "{}".into(),
            answer: Answer::Status(200),
            at_once: 1,
        };
        let key = format!("whsec_{}", STANDARD.encode("a key of 24 bytes, or so"));
        assert!(delivery.verify(&key).is_err());
        delivery.headers.push(("webhook-signature".into(), format!("v1,AAAA v1,{signature}")));
        assert_eq!(delivery.verify(&key), Ok(()));
        delivery.received += Duration::from_secs(600);
        assert!(delivery.verify(&key).is_err(), "it was signed ten minutes before");
        delivery.received -= Duration::from_secs(600);
        delivery.body = "{ }".into();
        assert!(delivery.verify(&key).is_err());
    }
}
