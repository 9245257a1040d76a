use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use tempfile::TempDir;

const NAME: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn token() -> AccessToken {
    AccessToken {
        secret: Secret::new("canary-token"),
        refresh_on: now() + Duration::from_secs(3000),
        expires_on: now() + Duration::from_secs(3600),
    }
}

fn place(folder: &Path) -> Place {
    Place::new(folder, NAME.into(), b"canary-secret").unwrap()
}

/// A cache folder with one token in it.
fn filled() -> (TempDir, PathBuf, Place) {
    let outer = TempDir::new().unwrap();
    let folder = outer.path().join("a/cache");
    let place = place(&folder);
    place.write(&token(), now());
    assert!(place.read(now()).is_some());
    (outer, folder, place)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_token_comes_back_as_it_was() {
    let (_outer, folder, place) = filled();
    let read = place.read(now()).unwrap();
    assert_eq!(read.secret.expose(), "canary-token");
    assert_eq!((read.refresh_on, read.expires_on), (token().refresh_on, token().expires_on));
    assert_eq!((mode(&folder), mode(&place.path(TOKEN))), (0o700, 0o600));
    let bytes = std::fs::read(place.path(TOKEN)).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"canary"));
    // Nothing else is left lying about.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn another_credential_or_name_does_not_open_it() {
    let (_outer, folder, place) = filled();
    assert!(Place::new(&folder, NAME.into(), b"replaced").unwrap().read(now()).is_none());
    let other = NAME.replace('0', "1");
    std::fs::rename(place.path(TOKEN), folder.join(format!("{other}.token"))).unwrap();
    assert!(Place::new(&folder, other, b"canary-secret").unwrap().read(now()).is_none());
}

#[test]
fn impossible_times_are_a_miss() {
    let (_outer, _, place) = filled();
    assert!(place.read(token().expires_on).is_none());
    assert!(place.read(token().expires_on - Duration::from_secs(1)).is_some());
    // Written an hour from now: one of the clocks was wrong.
    assert!(place.read(now() - Duration::from_secs(3600)).is_none());
    assert!(place.read(now() - Duration::from_secs(200)).is_some());
    let mut endless = token();
    endless.expires_on = now() + Duration::from_secs(100 * 24 * 3600);
    place.write(&endless, now());
    assert!(place.read(now()).is_none());
}

#[test]
fn a_file_that_others_can_read_or_that_is_a_link_is_a_miss() {
    let (outer, _, place) = filled();
    let path = place.path(TOKEN);
    for open in [0o640, 0o604, 0o660] {
        chmod(&path, open);
        assert!(place.read(now()).is_none(), "{open:o}");
    }
    chmod(&path, 0o600);
    let elsewhere = outer.path().join("elsewhere");
    std::fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(place.read(now()).is_none());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(place.read(now()).is_none());
}

#[test]
fn a_folder_that_others_can_enter_or_that_is_a_link_is_not_used() {
    let (outer, folder, place) = filled();
    chmod(&folder, 0o755);
    assert!(place.read(now()).is_none());
    assert_eq!(place.try_write(&token(), now()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(logout(&folder).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    chmod(&folder, 0o700);
    let link = outer.path().join("link");
    symlink(&folder, &link).unwrap();
    let through = Place::new(&link, NAME.into(), b"canary-secret").unwrap();
    assert!(through.read(now()).is_none() && logout(&link).is_err());
}

#[test]
fn no_damage_is_more_than_a_miss() {
    let (_outer, _, place) = filled();
    let path = place.path(TOKEN);
    let good = std::fs::read(&path).unwrap();
    let damaged = [Vec::new(), good[..good.len() - 1].to_vec(), vec![0; 300_000], [good.clone(), vec![0]].concat()];
    let flipped = (0..good.len()).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        bytes
    });
    for bytes in damaged.into_iter().chain(flipped) {
        std::fs::write(&path, &bytes).unwrap();
        assert!(place.read(now()).is_none());
    }
    std::fs::write(&path, &good).unwrap();
    assert!(place.read(now()).is_some());
    // Sealed by the right key, and yet no token.
    std::fs::write(&path, place.seal.seal(NAME, b"{}").unwrap()).unwrap();
    assert!(place.read(now()).is_none());
}

#[test]
fn logout_takes_ours_and_leaves_the_rest() {
    let (_outer, folder, place) = filled();
    std::fs::write(folder.join(format!("{NAME}.lock")), "").unwrap();
    std::fs::write(folder.join(format!(".{NAME}.0123")), "").unwrap();
    for other in ["notes.token", "notes", ".profile", &format!("{NAME}.txt")] {
        std::fs::write(folder.join(other), "").unwrap();
    }
    assert_eq!(logout(&folder).unwrap(), 1);
    assert!(place.read(now()).is_none());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);
    assert_eq!(logout(&folder).unwrap(), 0);
    assert_eq!(logout(&folder.join("missing")).unwrap(), 0);
}

#[tokio::test]
async fn a_lock_is_held_by_one_and_waited_for_with_patience() {
    let (_outer, folder, first) = filled();
    let second = place(&folder);
    let held = first.lock(Instant::now() + Duration::from_secs(60)).await.unwrap();
    assert_eq!(mode(&first.path(LOCK)), 0o600);
    let start = Instant::now();
    assert!(second.lock(start + Duration::from_millis(100)).await.is_none());
    assert!(start.elapsed() >= Duration::from_millis(100));
    drop(held);
    assert!(second.lock(Instant::now() + Duration::from_secs(60)).await.is_some());
}
