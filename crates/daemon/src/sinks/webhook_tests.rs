use super::super::lanes;
use super::super::testing::Rig;
use super::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use sortie_host::config::{self, Environment, Overrides, SecretSource};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A request that a receiver got.
struct Got {
    headers: HeaderMap,
    body: Bytes,
    at: Instant,
}

type Log = Arc<Mutex<Vec<Got>>>;

fn answer(status: u16, body: &str) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

/// A receiver on a port of its own, which answers as a test says: by the number of the request and its body.
async fn receiver(script: impl Fn(usize, &str) -> Response<Full<Bytes>> + Send + Sync + 'static) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/SECRETPATH?code=SECRETQUERY", listener.local_addr().unwrap());
    let (log, script) = (Log::default(), Arc::new(script));
    let seen = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (log, script) = (Arc::clone(&log), Arc::clone(&script));
            let service = service_fn(move |request: Request<Incoming>| {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                async move {
                    let headers = request.headers().clone();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let number = {
                        let mut log = log.lock().unwrap();
                        log.push(Got { headers, body: body.clone(), at: Instant::now() });
                        log.len()
                    };
                    Ok::<_, Infallible>(script(number, std::str::from_utf8(&body).unwrap()))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (url, seen)
}

fn host(environment: &[(&str, &str)]) -> Host {
    let environment = Environment::of(environment.iter().map(|(name, value)| (*name, *value)));
    let text = config::ConfigText { name: "test".to_owned(), text: "[profile.test]\ntenant = \"t\"\n".to_owned() };
    let overrides = Overrides { config_text: Some(text), ..Overrides::default() };
    Host::new(config::resolve(&overrides, &environment).unwrap().profile)
}

fn settings(url: &str) -> WebhookSettings {
    WebhookSettings {
        url: url.to_owned(),
        keys: Vec::new(),
        headers: Vec::new(),
        timeout: Duration::from_secs(10),
        concurrency: 4,
    }
}

fn value(text: &str) -> SecretSource {
    SecretSource::Value(Secret::new(text))
}

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The example of the specification's reference libraries, and two values computed with other programs (`openssl dgst`,
/// Python's `hmac`).
#[test]
fn signatures_are_those_of_others() {
    let keys = |texts: &[&str]| Keys::new(&texts.iter().map(|text| Secret::new(*text)).collect::<Vec<_>>()).unwrap();
    let published = keys(&[KEY]).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(published.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));

    let body = r#"{"type":"incident.created","idempotencyKey":"contoso.example/29/5f","title":"ü"}"#;
    let both =
        keys(&["a plain text key, and long enough", KEY]).sign("contoso.example/29/5f", 1_795_262_400, body.as_bytes());
    let wanted = "v1,3W3fy5KDbyIyrTDD6sJ4SGZuG0ZftdCtFtjvwr1nKww= v1,oc074ivyqMyF2qG6AhvlBsFZCZYYtlWCA31Q7kVKa44=";
    assert_eq!(both.as_deref(), Some(wanted));
    assert_eq!(keys(&[]).sign("id", 1, b""), None);
    let failure = Keys::new(&[Secret::new("whsec_not base64!")]).map(drop).unwrap_err();
    assert!(!failure.to_string().contains("not base64!"), "{failure}");
}

#[tokio::test]
async fn a_delivery_carries_what_the_receiver_checks() {
    let (url, log) = receiver(|_, _| answer(204, "")).await;
    let settings = WebhookSettings {
        keys: vec![value(KEY), value("an old key of as many bytes as it takes")],
        headers: vec![("X-Api-Key".to_owned(), value("apikey"))],
        ..settings(&url)
    };
    let rig = Rig::new();
    rig.store.put([("29".to_owned(), "contoso.example/29/ü".to_owned())]);
    let record = rig.store.lock().waiting[&1].record.clone();
    rig.shared.finish.cancel();
    lanes::run(rig.desk(), Webhook::open(&settings, &host(&[])).unwrap()).await.unwrap();
    assert_eq!(rig.store.lock().delivered, [1]);
    let log = log.lock().unwrap();
    let header = |name: &str| log[0].headers[name].to_str().unwrap();
    assert_eq!(log[0].body, record.as_bytes());
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("x-api-key"), "apikey");
    assert!(header("user-agent").starts_with("sortie/"));
    assert_eq!(header("webhook-id"), "contoso%2Eexample/29/%C3%BC");
    let timestamp: i64 = header("webhook-timestamp").parse().unwrap();
    assert!((jiff::Timestamp::now().as_second() - timestamp).abs() < 60);
    let keys = Keys::new(&[Secret::new(KEY), Secret::new("an old key of as many bytes as it takes")]).unwrap();
    let wanted = keys.sign(header("webhook-id"), timestamp, record.as_bytes()).unwrap();
    assert_eq!(header("webhook-signature"), wanted);
}

#[tokio::test]
async fn each_status_means_what_the_table_says() {
    let outcome = |status: u16| async move {
        let (url, log) = receiver(move |_, _| answer(status, "because\u{1b}[31m")).await;
        let webhook = Webhook::open(&settings(&url), &host(&[])).unwrap();
        let rig = Rig::new();
        rig.store.fill(1);
        let record = rig.store.lock().waiting[&1].clone();
        let outcome = webhook.carry(&record, &CancellationToken::new()).await;
        assert_eq!(log.lock().unwrap().len(), 1, "{status}: one attempt");
        outcome
    };
    for status in [200, 201, 202, 204, 206, 299] {
        assert_eq!(outcome(status).await, Outcome::Taken, "{status}");
    }
    for status in [408, 423, 424, 425, 429, 500, 502, 503, 504, 507] {
        assert!(matches!(outcome(status).await, Outcome::Again { .. }), "{status}");
    }
    for status in [301, 302, 304, 307, 401, 402, 403, 404, 405, 407, 421, 426] {
        assert!(matches!(outcome(status).await, Outcome::Trouble { .. }), "{status}");
    }
    for status in [400, 409, 410, 411, 413, 414, 415, 418, 422, 431, 451] {
        match outcome(status).await {
            Outcome::Refused { reason } => {
                assert!(reason.contains(&format!("127.0.0.1 answered {status}")), "{reason}");
                assert!(reason.ends_with(": because [31m"), "{reason:?}");
                assert!(!reason.contains("SECRET"), "{reason}");
            }
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn retry_after_is_honoured_and_the_item_comes_again_with_a_new_signature_time() {
    let (url, log) = receiver(|number, _| {
        if number == 1 {
            let mut answer = answer(429, "slow down");
            answer.headers_mut().insert("retry-after", "1".parse().unwrap());
            return answer;
        }
        answer(200, &"x".repeat(1 << 20))
    })
    .await;
    let rig = Rig::new();
    rig.store.fill(3);
    let mut settings = settings(&url);
    settings.concurrency = 1;
    let courier = tokio::spawn(lanes::run(rig.desk(), Webhook::open(&settings, &host(&[])).unwrap()));
    rig.until(|store| store.waiting.is_empty()).await;
    {
        let log = log.lock().unwrap();
        assert_eq!(log.len(), 4);
        assert!(log[1].at - log[0].at >= Duration::from_secs(1));
        assert_eq!(log[1].headers["webhook-id"], log[0].headers["webhook-id"]);
    }
    rig.shared.stop.cancel();
    courier.await.unwrap().unwrap();
}

#[tokio::test]
async fn no_secret_comes_back_in_a_reason() {
    let echo = |_: usize, _: &str| answer(400, "you sent hunter2canary and that is wrong");
    let (url, _) = receiver(echo).await;
    let settings = WebhookSettings {
        headers: vec![("X-Api-Key".to_owned(), value("Bearer hunter2canary"))],
        keys: vec![value("keycanary, and as many bytes as a key has")],
        ..settings(&url)
    };
    let rig = Rig::new();
    rig.store.fill(1);
    rig.shared.finish.cancel();
    lanes::run(rig.desk(), Webhook::open(&settings, &host(&[])).unwrap()).await.unwrap();
    let reason = rig.store.lock().refused[0].1.clone();
    assert!(reason.contains("[secret] and that is wrong"), "{reason}");
    assert!(!reason.contains("canary"), "{reason}");
}

#[tokio::test]
async fn what_the_url_holds_does_not_come_back_in_a_reason() {
    let echo = |_: usize, _: &str| {
        answer(
            400,
            "no POST /hook/T0KENcanary%2F1 here; T0KENcanary/1, canary+key%3D, canary key=, canary+key=, code=canary+key%3D, \
             T0KEN\u{200b}canary/1; /hook is /hook",
        )
    };
    let (url, _) = receiver(echo).await;
    let url = url.replace("SECRETPATH?code=SECRETQUERY", "T0KENcanary%2F1?code=canary+key%3D&v=2");
    let rig = Rig::new();
    rig.store.fill(1);
    rig.shared.finish.cancel();
    lanes::run(rig.desk(), Webhook::open(&settings(&url), &host(&[])).unwrap()).await.unwrap();
    let reason = rig.store.lock().refused[0].1.clone();
    assert!(!reason.contains("canary") && !reason.contains("T0KEN"), "{reason}");
    assert!(reason.contains("no POST [secret] here; [secret], ") && reason.ends_with("; /hook is /hook"), "{reason}");
}

#[tokio::test]
async fn a_receiver_that_hangs_or_is_gone_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut settings = settings(&url);
    settings.timeout = Duration::from_millis(200);
    let webhook = Webhook::open(&settings, &host(&[])).unwrap();
    let rig = Rig::new();
    rig.store.fill(1);
    let record = rig.store.lock().waiting[&1].clone();
    assert!(matches!(webhook.carry(&record, &CancellationToken::new()).await, Outcome::Again { .. }));
    drop(listener);
    match webhook.carry(&record, &CancellationToken::new()).await {
        Outcome::Trouble { reason, .. } => assert!(reason.contains("no connection to 127.0.0.1"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_status_counts_although_its_body_never_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 8 << 10];
            while !request.starts_with(b"POST") {
                assert!(stream.read(&mut request).await.unwrap() > 0);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok").await.unwrap();
            open.push(stream);
        }
    });
    for timeout in [Duration::from_millis(300), Duration::from_secs(10)] {
        let webhook = Webhook::open(&WebhookSettings { timeout, ..settings(&url) }, &host(&[])).unwrap();
        let rig = Rig::new();
        rig.store.fill(1);
        let record = rig.store.lock().waiting[&1].clone();
        assert_eq!(webhook.carry(&record, &CancellationToken::new()).await, Outcome::Taken, "{timeout:?}");
    }
}

#[test]
fn what_cannot_work_is_refused_at_once_without_repeating_secrets() {
    let open = |settings: &WebhookSettings| {
        Webhook::open(settings, &host(&[("K", KEY), ("SHORT", "twenty-three bytes long")])).map(drop)
    };
    for url in ["http://receiver.example/x", "ftp://127.0.0.1/", "https://user:hunter2@receiver.example/", "nonsense"] {
        let failure = open(&settings(url)).unwrap_err();
        assert_eq!(failure.exit_code(), 78, "{url}");
        assert!(!failure.to_string().contains("hunter2"), "{failure}");
    }
    for url in ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/"] {
        open(&settings(url)).unwrap();
    }
    for name in ["Webhook-Signature", "content-length", "Host", "User-Agent", "te", "bad name"] {
        let settings = WebhookSettings { headers: vec![(name.to_owned(), value("x"))], ..settings("http://[::1]/") };
        assert_eq!(open(&settings).unwrap_err().exit_code(), 78, "{name}");
    }
    let line = WebhookSettings { headers: vec![("a".to_owned(), value("hunter2\nx: y"))], ..settings("http://[::1]/") };
    let failure = open(&line).unwrap_err();
    assert!(!failure.to_string().contains("hunter2"), "{failure}");
    let keyed = |name: &str| WebhookSettings {
        keys: vec![SecretSource::Environment(name.to_owned())],
        ..settings("http://[::1]/")
    };
    open(&keyed("K")).unwrap();
    let failure = open(&keyed("SHORT")).unwrap_err();
    assert!(failure.message.contains("fewer than 24 bytes"), "{failure}");
    let failure = open(&keyed("MISSING")).unwrap_err();
    assert!(failure.message.contains("a signing key should be in MISSING"), "{failure}");
}
