//! Both sides of the boundary against each other, and the layout against its documentation.
#![allow(unsafe_code)] // Stands in for a library.

use crate::action::{self, Host};
use crate::host::{Answer, Entry, Mismatch, Services, Stop};
use crate::{ActionV1, Exchange, HostV1, Level, MAGIC, Slice, Status};
use std::ffi::c_void;
use std::mem::{offset_of, size_of};
use std::sync::Mutex;
use std::time::Duration;

#[derive(Default)]
struct Recorder {
    reply: Mutex<Vec<u8>>,
    emitted: Mutex<Vec<String>>,
    logged: Mutex<Vec<String>>,
}

impl Services for Recorder {
    fn invocation(&self) -> &str {
        r#"{"runId":"1"}"#
    }
    fn request(&self, head: &str, body: &[u8]) -> Result<Answer, Stop> {
        if head == "panic" {
            panic!("a service panics");
        }
        Ok(Answer { head: format!("head of {head}"), body: body.to_vec() })
    }
    fn request_many(&self, requests: &[(&str, &[u8])]) -> Result<Vec<Answer>, Stop> {
        requests.iter().map(|(head, body)| self.request(head, body)).collect()
    }
    fn emit(&self, record: &str) -> Result<(), Stop> {
        self.emitted.lock().unwrap().push(record.into());
        Ok(())
    }
    fn reply(&self, chunk: &[u8]) -> Result<(), Stop> {
        self.reply.lock().unwrap().extend_from_slice(chunk);
        Ok(())
    }
    fn log(&self, level: Level, message: &str, fields: &str) {
        self.logged.lock().unwrap().push(format!("{} {message} {fields}", level.0));
    }
    fn progress(&self, _: &str) {}
    fn sleep(&self, _: Duration) -> Result<(), Stop> {
        Err(Stop::Cancelled)
    }
    fn cancelled(&self) -> bool {
        true
    }
    fn now(&self) -> i64 {
        42
    }
}

unsafe extern "C" fn describe(host: *const HostV1) -> Status {
    // SAFETY: the host lends a valid table for the call.
    let host = unsafe { Host::new(host) }.unwrap();
    host.reply(b"{}").unwrap();
    Status::OK
}

unsafe extern "C" fn invoke(host: *const HostV1, input: Slice) -> Status {
    // SAFETY: the host lends a valid table and input for the call.
    let (host, input) = unsafe { (Host::new(host).unwrap(), action::borrow(input)) };
    assert_eq!(input, b"input");
    assert_eq!(host.invocation(), Ok(r#"{"runId":"1"}"#));
    let first = host.request("a", b"body").unwrap();
    let second = host.request_many(&[("b", b"two"), ("c", b"")]).unwrap();
    assert_eq!(first.head(), Ok("head of a"));
    assert_eq!(first.body().unwrap(), b"body".as_slice());
    assert_eq!(first.body().unwrap(), b"body".as_slice());
    assert_eq!(second[0].body().unwrap(), b"two".as_slice());
    assert_eq!(second[1].body().unwrap(), b"".as_slice());
    assert_eq!(host.request("panic", b"").err(), Some(Status::FAILED));
    assert_eq!(host.sleep(Duration::from_secs(9)), Err(Status::CANCELLED));
    assert!(host.cancelled());
    assert_eq!(host.now(), Ok(42));
    host.emit("1").unwrap();
    host.log(Level::WARN, "careful", "{}");
    host.reply(b"done").unwrap();
    Status::OK
}

static TABLE: ActionV1 = action::table(describe, invoke);

fn entry(table: &ActionV1) -> Result<Entry, Mismatch> {
    // SAFETY: a reference is a valid table, and the function pointers in it are real.
    unsafe { Entry::from_table(table) }
}

#[test]
fn both_sides_speak_with_each_other() {
    let services = Recorder::default();
    let entry = entry(&TABLE).unwrap();
    assert_eq!(entry.abi(), (1, 0));
    assert_eq!(entry.describe(&services), Status::OK);
    assert_eq!(entry.invoke(&services, b"input"), Status::OK);
    assert_eq!(*services.reply.lock().unwrap(), b"{}done");
    assert_eq!(*services.emitted.lock().unwrap(), ["1"]);
    assert_eq!(*services.logged.lock().unwrap(), ["2 careful {}"]);
}

#[test]
fn a_table_that_is_not_ours_is_refused_with_what_was_found() {
    // SAFETY: null is allowed.
    assert_eq!(unsafe { Entry::from_table(std::ptr::null()) }.unwrap_err(), Mismatch::Null);
    let changed = |change: fn(&mut ActionV1)| {
        let mut table = action::table(describe, invoke);
        change(&mut table);
        entry(&table).unwrap_err()
    };
    assert_eq!(changed(|table| table.magic = 7), Mismatch::Magic { found: 7 });
    assert_eq!(changed(|table| table.abi_major = 2), Mismatch::Major { found: 2 });
    assert_eq!(changed(|table| table.struct_size = 24), Mismatch::Short { found: 24 });
    assert_eq!(changed(|table| table.describe = None), Mismatch::Missing { function: "describe" });
    assert_eq!(changed(|table| table.invoke = None), Mismatch::Missing { function: "invoke" });
    assert!(changed(|table| table.abi_major = 2).to_string().contains("wanted boundary version 1, found 2"));
}

unsafe extern "C" fn misuse(host: *const HostV1, _: Slice) -> Status {
    // SAFETY: the host lends a valid table for the call.
    let table = unsafe { &*host };
    let bad = [0xff_u8];
    let null_with_length = Slice { pointer: std::ptr::null(), length: 8 };
    let mut exchange = Exchange(0);
    // SAFETY: these calls are wrong in ways that the host promises to survive.
    unsafe {
        let context = table.context;
        assert_eq!(table.reply.unwrap()(context, null_with_length), Status::FAILED);
        assert_eq!(table.emit.unwrap()(context, Slice::of(&bad)), Status::FAILED);
        assert_eq!(table.emit.unwrap()(std::ptr::null_mut::<c_void>(), Slice::EMPTY), Status::FAILED);
        assert_eq!(table.invocation.unwrap()(context, std::ptr::null_mut()), Status::FAILED);
        assert_eq!(table.exchange_release.unwrap()(context, Exchange(99)), Status::FAILED);
        assert_eq!(table.exchange_head.unwrap()(context, Exchange(99), std::ptr::null_mut()), Status::FAILED);
        let many = table.request_many.unwrap();
        assert_eq!(many(context, std::ptr::null(), 1, &raw mut exchange), Status::FAILED);
        assert_eq!(many(context, std::ptr::null(), usize::MAX, &raw mut exchange), Status::REFUSED);
        assert_eq!(many(context, std::ptr::null(), 0, &raw mut exchange), Status::OK);
    }
    Status::OK
}

#[test]
fn a_library_that_misuses_the_services_is_answered_not_obeyed() {
    let table = action::table(describe, misuse);
    assert_eq!(entry(&table).unwrap().invoke(&Recorder::default(), b""), Status::OK);
}

#[test]
fn a_panic_stays_on_the_side_of_the_action() {
    unsafe extern "C" fn crash(host: *const HostV1, _: Slice) -> Status {
        let crashed = |host: &Host<'_>| {
            host.reply(b"crashed").unwrap();
            Status::FAILED
        };
        // SAFETY: the host lends a valid table for the call.
        unsafe { action::enter(host, |_| panic!("an action panics"), crashed) }
    }
    let services = Recorder::default();
    let table = action::table(describe, crash);
    assert_eq!(entry(&table).unwrap().invoke(&services, b""), Status::FAILED);
    assert_eq!(*services.reply.lock().unwrap(), b"crashed");
}

#[test]
fn an_action_of_a_newer_minor_version_finds_the_end_of_an_old_table() {
    unsafe extern "C" fn probe(host: *const HostV1, _: Slice) -> Status {
        // SAFETY: a copy of the lent table, cut short behind `reply`, valid for the call.
        let mut cut = unsafe { host.read() };
        cut.struct_size = offset_of!(HostV1, log);
        // SAFETY: `cut` is a valid table.
        let host = unsafe { Host::new(&raw const cut) }.unwrap();
        assert_eq!(host.now(), Err(Status::FAILED));
        host.reply(b"still here").unwrap();
        Status::OK
    }
    let services = Recorder::default();
    let table = action::table(describe, probe);
    assert_eq!(entry(&table).unwrap().invoke(&services, b""), Status::OK);
    assert_eq!(*services.reply.lock().unwrap(), b"still here");
}

/// The offsets that the C header states; a C compiler checks its side where the C action is built.
#[test]
fn the_frozen_layout_has_not_moved() {
    assert_eq!(MAGIC, 0x4341_4549_5452_4f53);
    assert_eq!(size_of::<Slice>(), 16);
    assert_eq!(
        [
            offset_of!(ActionV1, magic),
            offset_of!(ActionV1, abi_major),
            offset_of!(ActionV1, abi_minor),
            offset_of!(ActionV1, struct_size),
            offset_of!(ActionV1, describe),
            offset_of!(ActionV1, invoke),
            size_of::<ActionV1>(),
        ],
        [0, 8, 12, 16, 24, 32, 40]
    );
    assert_eq!(
        [
            offset_of!(HostV1, abi_major),
            offset_of!(HostV1, abi_minor),
            offset_of!(HostV1, struct_size),
            offset_of!(HostV1, context),
            offset_of!(HostV1, invocation),
            offset_of!(HostV1, request),
            offset_of!(HostV1, request_many),
            offset_of!(HostV1, exchange_head),
            offset_of!(HostV1, exchange_read),
            offset_of!(HostV1, exchange_release),
            offset_of!(HostV1, emit),
            offset_of!(HostV1, reply),
            offset_of!(HostV1, log),
            offset_of!(HostV1, progress),
            offset_of!(HostV1, sleep),
            offset_of!(HostV1, cancelled),
            offset_of!(HostV1, now),
            size_of::<HostV1>(),
        ],
        [0, 4, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128]
    );
}
