//! Forgetting what is old, in small pieces, and giving the space back.

use rusqlite::Connection;

use super::Fault;
use super::books::{Books, less};

/// How many rows of a table go in one transaction.
const PIECE: usize = 500;

/// How many pages are given back to the disk in one transaction.
const PAGES: i64 = 512;

/// How many free pages stay for what comes next: 16 MB.
const SPARE_PAGES: i64 = 4096;

/// A piece; answers whether there is more.
pub(super) fn piece(
    connection: &Connection,
    books: &mut Books,
    seen_before: i64,
    history_before: i64,
) -> Result<bool, Fault> {
    let versions = versions(connection, seen_before)?;
    let polls = connection
        .prepare_cached("DELETE FROM polls WHERE number IN (SELECT number FROM polls WHERE began_at < ?1 LIMIT ?2)")?
        .execute((history_before, PIECE as i64))?;
    let quarantined = connection.prepare_cached("DELETE FROM quarantine WHERE last_at < ?1")?.execute([seen_before])?;
    less(&mut books.ledger.quarantined, quarantined as u64)?;
    let pages = give_back(connection)?;
    Ok(versions || polls == PIECE || pages)
}

/// Forgets versions. Items are kept for good: an incident that changes after years is no new one, and a row of a few hundred
/// bytes is what knowing that costs.
fn versions(connection: &Connection, before: i64) -> Result<bool, Fault> {
    let mut select =
        connection.prepare_cached("SELECT id, fingerprint FROM seen WHERE at < ?1 ORDER BY at LIMIT ?2")?;
    let old: Vec<(String, String)> =
        select.query_map((before, PIECE as i64), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut version = connection.prepare_cached("DELETE FROM seen WHERE id = ?1 AND fingerprint = ?2")?;
    for (id, fingerprint) in &old {
        if version.execute((id, fingerprint))? != 1 {
            return Err(Fault::Corrupt("an index names a version that is not there".to_owned()));
        }
    }
    Ok(old.len() == PIECE)
}

/// Gives pages back to the disk that a long outage of a sink filled.
fn give_back(connection: &Connection) -> Result<bool, Fault> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let free = number("freelist_count")?;
    // A quarter of the file may stay free: moving pages costs more than it gives there.
    if free <= SPARE_PAGES || free < number("page_count")? / 4 {
        return Ok(false);
    }
    // Each row of its result is a page that was given back.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(true)
}
