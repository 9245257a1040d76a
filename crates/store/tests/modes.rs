//! The modes of all files, whatever the umask. Alone in its program, because a umask is one for the whole process.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::os::unix::fs::PermissionsExt;

use sortie_store::{SqliteStore, Store};
use support::{news, place};

#[test]
fn the_folder_is_0700_and_all_files_are_0600_under_umask_000() {
    rustix::process::umask(rustix::fs::Mode::empty());
    let place = place();
    let (store, fence) = place.with_sinks(&["stdout"]);
    store.commit(&news(1, "1", "f"), fence).unwrap();
    let reader = SqliteStore::read(&place.path).unwrap();
    let amending = SqliteStore::amend(&place.path).unwrap();

    let folder = place.path.parent().unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["contoso.db", "contoso.db-shm", "contoso.db-wal", "contoso.db.lock"]);
    drop((amending, reader, store));
    place.open();
    assert_eq!(mode(&place.path), 0o600);
}
