//! JSON Lines appended to a file, each record once, whatever happens.
//!
//! # The model
//!
//! A batch is appended, synced, and only then settled, together with the sink's *place*: which file (its inode) and how long
//! it is up to what is acknowledged. So after a crash everything up to the place is settled, and what lies behind it
//! is what the crash interrupted: its whole lines are settled without being written again, a torn one is cut off. Where the
//! place is of another file (rotated away, or none), the whole file is read for what is due, and the other file too if
//! it is still in the folder.
//!
//! The file is rotated only between batches, when everything in it is settled. Somebody else may move, delete or empty it
//! at any time: that is noticed before each batch, and a new file is begun or this one is begun anew. Before anything is
//! written then, the new place is noted, so that it is found again even if the file is moved away, too, before its first
//! batch is settled.
//!
//! A file that is moved while a batch is being written to it has that batch, whole and synced, under its new name: it is
//! settled, and not written again, because whoever moves the file keeps what is in it. (What packs files at once has to
//! leave the newest alone, as `delaycompress` does.) If the file was deleted meanwhile, nobody will ever read the batch, and
//! it is written again.

use super::rotation::{self, OpenError, inode};
use super::scan::{last_line, scan};
use super::stdout::lines;
use super::stream::{Stream, Trouble};
use crate::settings::FileSettings;
use serde::{Deserialize, Serialize};
use sortie_host::Failure;
use sortie_store::{Queued, Settled};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The largest batch; one sync each.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

/// A file sink.
pub(super) struct FileSink {
    path: PathBuf,
    rotate_bytes: Option<u64>,
    keep: u32,
    open: Open,
    /// The inode of the place that was last told.
    told: Option<u64>,
    rotation_failed: bool,
}

struct Open {
    file: File,
    /// Up to here everything is whole, synced, and settled or about to be.
    length: u64,
    /// Behind that there may be the beginning of a batch that could not be written.
    unsound: bool,
}

/// How far the sink's acknowledgements reach.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    inode: u64,
    length: u64,
}

impl FileSink {
    pub(super) fn open(settings: &FileSettings) -> Result<Self, Failure> {
        let FileSettings { path, rotate_bytes, keep } = settings;
        let file = rotation::open(path).map_err(|error| Failure::configuration(error.to_string(), error.hint()))?;
        let open = Open { file, length: 0, unsound: false };
        let rotate_bytes = rotate_bytes.filter(|bytes| *bytes > 0);
        Ok(Self { path: path.clone(), rotate_bytes, keep: *keep, open, told: None, rotation_failed: false })
    }

    /// What it has of what is due, and where it stands.
    fn recover(&mut self, place: Option<Place>, due: &[(i64, String)]) -> Result<(Vec<i64>, String), OpenError> {
        let path = self.path.clone();
        let failed = |error| OpenError::Other { path: path.clone(), error };
        let wanted: HashMap<&str, i64> = due.iter().map(|(sequence, key)| (key.as_str(), *sequence)).collect();
        let mut delivered = Vec::new();
        let open = self.current()?;
        let metadata = open.file.metadata().map_err(failed)?;
        let known = match place {
            Some(place) if place.inode == metadata.ino() => {
                ends_line(&open.file, place.length).map_err(failed)?.then_some(place.length)
            }
            Some(place) if !wanted.is_empty() => {
                delivered = moved_away(&path, &place, &wanted).map_err(failed)?;
                None
            }
            _ => None,
        };
        delivered.extend(open.tidy(known, &wanted).map_err(failed)?);
        delivered.sort_unstable();
        delivered.dedup();
        let place = open.place().map_err(failed)?;
        self.told = Some(metadata.ino());
        Ok((delivered, place))
    }

    /// The file at the path: the open one if it is still there, else a new one.
    fn current(&mut self) -> Result<&mut Open, OpenError> {
        let there = fs::symlink_metadata(&self.path).ok().map(|metadata| inode(&metadata));
        let here = self.open.file.metadata().ok().map(|metadata| inode(&metadata));
        if here != there {
            tracing::info!(path = %self.path.display(), "the sink's file was moved or deleted: a new one is begun");
            // Its end is left whole, as far as it still matters to anybody.
            let _ = self.open.mend();
            self.reopen()?;
        }
        Ok(&mut self.open)
    }

    /// Begins the file anew where somebody else made it shorter or longer; says whether so.
    fn begin_anew(&mut self) -> io::Result<bool> {
        let length = self.open.file.metadata()?.len();
        let as_left = if self.open.unsound { length >= self.open.length } else { length == self.open.length };
        if !as_left {
            tracing::info!(path = %self.path.display(), "the sink's file was emptied or written to by somebody else");
            self.open.tidy(None, &HashMap::new())?;
        }
        Ok(!as_left)
    }

    /// Goes over to what is at the path now. The old file stays open until then: its inode's number is not given to the
    /// new one, so the two are never taken for each other.
    fn reopen(&mut self) -> Result<(), OpenError> {
        let mut open = Open { file: rotation::open(&self.path)?, length: 0, unsound: false };
        let other = |error| OpenError::Other { path: self.path.clone(), error };
        open.tidy(None, &HashMap::new()).map_err(other)?;
        self.open = open;
        Ok(())
    }

    fn unwritten(&self, error: io::Error) -> Trouble {
        passing(OpenError::Other { path: self.path.clone(), error })
    }

    /// Rotates if the file would become too large. That it cannot be rotated is no reason to deliver nothing.
    fn rotate(&mut self, more: usize) -> Result<(), OpenError> {
        let Some(most) = self.rotate_bytes else { return Ok(()) };
        if self.open.length == 0 || self.open.length.saturating_add(more as u64) <= most {
            return Ok(());
        }
        match rotation::rotate(&self.path, self.keep) {
            Ok(()) => {
                self.rotation_failed = false;
                self.reopen()
            }
            Err(error) => {
                if !self.rotation_failed {
                    self.rotation_failed = true;
                    tracing::warn!(path = %self.path.display(), "the sink's file cannot be rotated and grows on: {error}");
                }
                Ok(())
            }
        }
    }
}

impl Open {
    /// Cuts off what a crash or an error left behind; gives what is there of what is wanted. `known` is where the
    /// acknowledgements end, if that is known of this file.
    fn tidy(&mut self, known: Option<u64>, wanted: &HashMap<&str, i64>) -> io::Result<Vec<i64>> {
        let from = match known {
            Some(end) => end,
            // Nothing is looked for: only the end matters.
            None if wanted.is_empty() => last_line(&self.file)?,
            None => 0,
        };
        let found = scan(&self.file, from, wanted, known.is_some())?;
        self.length = found.end;
        self.unsound = true;
        self.mend()?;
        if found.unended {
            self.file.write_all(b"\n")?;
            self.length += 1;
        }
        // What was found was perhaps never synced, and is about to be settled.
        self.file.sync_data()?;
        Ok(found.delivered)
    }

    /// Cuts the file back to what is sound.
    fn mend(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if self.unsound && length > self.length {
            self.file.set_len(self.length)?;
        } else {
            // Somebody else emptied it (`copytruncate`), or wrote to it: appending goes on at its end.
            self.length = length;
        }
        self.unsound = false;
        Ok(())
    }

    /// Appends and syncs; gives the new place, or none if the file was deleted meanwhile.
    fn append(&mut self, lines: &[u8]) -> io::Result<Option<String>> {
        self.mend()?;
        self.unsound = true;
        let written = self.file.write_all(lines).and_then(|()| {
            crate::abort::at("sent");
            self.file.sync_data()
        });
        if let Err(error) = written {
            // At once, if it can be done: a full disk gets its room back.
            let _ = self.mend();
            return Err(error);
        }
        crate::abort::at("acknowledged");
        self.unsound = false;
        self.length += lines.len() as u64;
        if self.file.metadata()?.nlink() == 0 {
            return Ok(None);
        }
        self.place().map(Some)
    }

    fn place(&self) -> io::Result<String> {
        let place = Place { inode: self.file.metadata()?.ino(), length: self.length };
        serde_json::to_string(&place).map_err(io::Error::other)
    }
}

/// What of the wanted is in the file that the sink wrote last, behind its place there, if that file is still in the
/// folder under another name.
fn moved_away(path: &Path, place: &Place, wanted: &HashMap<&str, i64>) -> io::Result<Vec<i64>> {
    for entry in fs::read_dir(rotation::folder(path))? {
        let Ok(entry) = entry else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_file() || metadata.ino() != place.inode || metadata.len() <= place.length {
            continue;
        }
        let path = entry.path();
        let found = File::open(&path).and_then(|file| {
            let ours = ends_line(&file, place.length)?;
            let found = scan(&file, if ours { place.length } else { 0 }, wanted, ours)?;
            file.sync_data().map(|()| found)
        });
        match found {
            Ok(found) => return Ok(found.delivered),
            // As good as deleted.
            Err(error) => tracing::warn!(path = %path.display(), "what the sink wrote last cannot be read: {error}"),
        }
    }
    Ok(Vec::new())
}

/// Whether a place can be one where the sink left off: within the file, and behind a line's end. Where somebody emptied
/// the file and it grew again it is not.
fn ends_line(file: &File, at: u64) -> io::Result<bool> {
    let Some(last) = at.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    match file.read_exact_at(&mut byte, last) {
        Ok(()) => Ok(byte == *b"\n"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

impl Stream for FileSink {
    fn limits(&self) -> (usize, usize) {
        let most = self.rotate_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(BYTES);
        (RECORDS, BYTES.min(most))
    }

    fn remembers(&self) -> bool {
        true
    }

    fn begin(&mut self, place: Option<&str>, due: &[(i64, String)]) -> Result<Settled, Trouble> {
        // A place that cannot be read is as good as none: then the whole file is read.
        let place = place.and_then(|place| serde_json::from_str(place).ok());
        let (delivered, place) = self.recover(place, due).map_err(passing)?;
        Ok(Settled { delivered, place: Some(place), ..Settled::default() })
    }

    fn write(&mut self, batch: &[Queued]) -> Result<Option<String>, Trouble> {
        let lines = lines(batch);
        self.prepare(lines.len())?;
        self.put(&lines)
    }
}

impl FileSink {
    /// Sees to it that the file is the one at the path, as it was left, and that its place is known.
    fn prepare(&mut self, more: usize) -> Result<(), Trouble> {
        self.current().map_err(passing)?;
        if self.begin_anew().map_err(|error| self.unwritten(error))? {
            self.told = None;
        }
        self.rotate(more).map_err(passing)?;
        let inode = Some(self.open.file.metadata().map_err(|error| self.unwritten(error))?.ino());
        if self.told == inode {
            return Ok(());
        }
        let place = self.open.place().map_err(|error| self.unwritten(error))?;
        self.told = inode;
        Err(Trouble::Moved(place))
    }

    fn put(&mut self, lines: &[u8]) -> Result<Option<String>, Trouble> {
        match self.open.append(lines) {
            Ok(Some(place)) => Ok(Some(place)),
            Ok(None) => {
                // Its place is told first, as always with another file.
                self.told = None;
                self.prepare(lines.len())?;
                self.put(lines)
            }
            Err(error) => Err(self.unwritten(error)),
        }
    }
}

fn passing(error: OpenError) -> Trouble {
    Trouble::Passing(error.to_string())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
