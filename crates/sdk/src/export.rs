//! From an [`Action`] to a library.

use crate::host::stopped;
use crate::{Action, Error, Host, Manifest, input};
use serde::Serialize;
use sortie_abi::{Level, Status, action, kinds};
use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

/// Exports an action as the one symbol that the host looks for. Once per library.
#[macro_export]
macro_rules! export {
    ($action:ty) => {
        const _: () = {
            unsafe extern "C" fn describe(host: *const $crate::abi::HostV1) -> $crate::abi::Status {
                $crate::export::prepare();
                // SAFETY: the host passes a table that is valid for the call.
                unsafe {
                    $crate::abi::action::enter(
                        host,
                        |host| $crate::export::describe::<$action>(host, env!("CARGO_PKG_VERSION")),
                        $crate::export::crashed,
                    )
                }
            }

            unsafe extern "C" fn invoke(
                host: *const $crate::abi::HostV1,
                input: $crate::abi::Slice,
            ) -> $crate::abi::Status {
                $crate::export::prepare();
                // SAFETY: the host passes a table and an input that are valid for the call.
                unsafe {
                    let input = $crate::abi::action::borrow(input);
                    $crate::abi::action::enter(
                        host,
                        |host| $crate::export::invoke::<$action>(host, input),
                        $crate::export::crashed,
                    )
                }
            }

            static TABLE: $crate::abi::ActionV1 = $crate::abi::action::table(describe, invoke);

            #[unsafe(no_mangle)]
            extern "C" fn sortie_action_v1() -> *const $crate::abi::ActionV1 {
                &TABLE
            }
        };
    };
}

/// Replies with the manifest. Called by [`export!`].
pub fn describe<A: Action>(host: &action::Host<'_>, version: &str) -> Status {
    send(host, &Manifest::of::<A>(version), Status::OK)
}

/// Runs the action once. Called by [`export!`].
pub fn invoke<A: Action>(host: &action::Host<'_>, input: &[u8]) -> Status {
    match run::<A>(host, input) {
        Ok(reply) => match host.reply(&reply) {
            Ok(()) => Status::OK,
            Err(status) => send(host, &stopped(status), Status::FAILED),
        },
        Err(error) => send(host, &error, Status::FAILED),
    }
}

fn run<A: Action>(boundary: &action::Host<'_>, input: &[u8]) -> Result<Vec<u8>, Error> {
    let host = Host::new(boundary)?;
    let input = input::read::<A>(input, host.now())?;
    let output = A::run(&host, input)?;
    let envelope = Envelope {
        output,
        run_id: &host.context().run_id,
        surface: A::manifest().has_surfaces().then(|| host.context().surface.as_str()),
        warnings: host.take_warnings(),
    };
    serde_json::to_vec(&envelope)
        .map_err(|problem| Error::new(kinds::INTERNAL, format!("the output cannot be written as JSON: {problem}")))
}

/// What every output carries besides the action's own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, T> {
    #[serde(flatten)]
    output: T,
    run_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    surface: Option<&'a str>,
    warnings: Vec<String>,
}

fn send<T: Serialize>(host: &action::Host<'_>, reply: &T, status: Status) -> Status {
    match serde_json::to_vec(reply) {
        Ok(bytes) if host.reply(&bytes).is_ok() => status,
        _ => Status::FAILED,
    }
}

thread_local! {
    /// Where the last panic of this thread happened, and what it said.
    static LAST_PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Keeps panics of this library from writing to stderr: what they say goes to the host's log instead. Called by
/// [`export!`]; a library has its own copy of the standard library, so nobody else's panics are touched.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(remember)));
}

fn remember(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let said = info.payload_as_str().unwrap_or_default().to_owned();
    let _ = LAST_PANIC.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = Some((place, said));
        }
    });
}

/// Replies with an error after a panic. Called by [`export!`].
pub fn crashed(host: &action::Host<'_>) -> Status {
    let (place, said) = LAST_PANIC.with(|last| last.borrow_mut().take()).unwrap_or_default();
    host.log(Level::ERROR, &format!("panic at {place}: {said}"), "");
    send(host, &Error::new(kinds::PANIC, format!("the action crashed at {place}")), Status::FAILED)
}
