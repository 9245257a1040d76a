//! What an error of SQLite or of the file system means for a store.

use std::io;
use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::StoreError;

/// What an error of SQLite means.
pub(super) fn of_sqlite(path: &Path, error: &Error) -> StoreError {
    match error {
        Error::SqliteFailure(failure, message) => of_code(path, *failure, message.as_deref()),
        Error::IntegralValueOutOfRange(..) => corrupt(path, "the checksum of a row does not match"),
        Error::QueryReturnedNoRows => corrupt(path, "a row that every store has is missing"),
        Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::Utf8Error(..) => {
            corrupt(path, "a value is not of the type that its column has")
        }
        other => failed(path, other.to_string()),
    }
}

/// What an error of SQLite means while a store is opened: what cannot be compiled then names a table or a column that every
/// store has, or the file is of another format.
pub(super) fn while_opening(path: &Path, error: &Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::Unknown) => corrupt(path, format!("its tables cannot be read ({error})")),
        _ => of_sqlite(path, error),
    }
}

fn of_code(path: &Path, failure: ffi::Error, message: Option<&str>) -> StoreError {
    let text = || message.map_or_else(|| failure.to_string(), str::to_owned);
    match failure.code {
        ErrorCode::DiskFull => StoreError::Full { path: path.into() },
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            StoreError::ReadOnly { path: path.into(), problem: text() }
        }
        // Uniqueness and types are held by what writes here; where they break, what was there before was not right.
        ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch => corrupt(path, text()),
        ErrorCode::SystemIoFailure
            if matches!(failure.extended_code, ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA) =>
        {
            corrupt(path, text())
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            failed(path, "another program has kept it locked for too long".to_owned())
        }
        _ => failed(path, text()),
    }
}

/// What an error of the file system means, when something was done to a file of the store.
pub(super) fn of_io(path: &Path, doing: &str, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { path: path.into() },
        io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::IsADirectory => {
            StoreError::ReadOnly { path: path.into(), problem: format!("{doing}: {error}") }
        }
        _ => failed(path, format!("{doing}: {error}")),
    }
}

/// The store is damaged.
pub(super) fn corrupt(path: &Path, problem: impl Into<String>) -> StoreError {
    StoreError::Corrupt { path: path.into(), problem: problem.into() }
}

/// The disk or the system failed.
pub(super) fn failed(path: &Path, problem: String) -> StoreError {
    StoreError::Failed { path: path.into(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(extended: i32) -> StoreError {
        of_sqlite(Path::new("x.db"), &Error::SqliteFailure(ffi::Error::new(extended), None))
    }

    #[test]
    fn each_code_of_sqlite_has_its_meaning() {
        assert!(matches!(code(ffi::SQLITE_FULL), StoreError::Full { .. }));
        assert!(matches!(code(ffi::SQLITE_READONLY_DIRECTORY), StoreError::ReadOnly { .. }));
        assert!(matches!(code(ffi::SQLITE_CANTOPEN), StoreError::ReadOnly { .. }));
        assert!(matches!(code(ffi::SQLITE_PERM), StoreError::ReadOnly { .. }));
        assert!(matches!(code(ffi::SQLITE_CORRUPT_INDEX), StoreError::Corrupt { .. }));
        assert!(matches!(code(ffi::SQLITE_NOTADB), StoreError::Corrupt { .. }));
        assert!(matches!(code(ffi::SQLITE_IOERR_CORRUPTFS), StoreError::Corrupt { .. }));
        assert!(matches!(code(ffi::SQLITE_IOERR_FSYNC), StoreError::Failed { .. }));
        assert!(matches!(code(ffi::SQLITE_BUSY), StoreError::Failed { .. }));
    }

    #[test]
    fn each_error_of_the_file_system_has_its_meaning() {
        let of = |kind: io::ErrorKind| of_io(Path::new("x.db"), "the lock", &io::Error::from(kind));
        assert!(matches!(of(io::ErrorKind::StorageFull), StoreError::Full { .. }));
        assert!(matches!(of(io::ErrorKind::ReadOnlyFilesystem), StoreError::ReadOnly { .. }));
        assert!(matches!(of(io::ErrorKind::PermissionDenied), StoreError::ReadOnly { .. }));
        assert!(matches!(of(io::ErrorKind::TimedOut), StoreError::Failed { .. }));
    }
}
