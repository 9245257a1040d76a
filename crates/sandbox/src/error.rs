//! What can go wrong when a sandbox is started or driven. Faults served to clients are not errors of this crate.

/// Why a sandbox could not be started, or a control operation could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listen address is not a loopback address; a sandbox never listens to a network.
    #[error("the sandbox listens on loopback addresses only, not on {0}")]
    NotLoopback(std::net::SocketAddr),
    /// The listener could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The runtime or its thread could not be made.
    #[error("cannot start the sandbox's thread: {0}")]
    Thread(std::io::Error),
    /// The certificate authority or the server certificate could not be made.
    #[error("cannot make the sandbox's certificate: {0}")]
    Certificate(String),
    /// The folder of recorded bodies could not be read.
    #[error("cannot read recorded bodies from {path}: {reason}")]
    Bodies {
        /// The folder or file.
        path: std::path::PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// An application is registered wrongly: a certificate or key that cannot be read, a client id used twice.
    #[error("application {name}: {reason}")]
    Application {
        /// The application's name.
        name: String,
        /// What was wrong with it.
        reason: String,
    },
    /// A control operation names something that does not exist.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The kind of thing: `incident`, `machine`, `machine action`, `alert`, `operation`.
        what: &'static str,
        /// Its id as it was given.
        id: String,
    },
    /// A control operation has arguments that make no sense.
    #[error("{0}")]
    Invalid(String),
}
