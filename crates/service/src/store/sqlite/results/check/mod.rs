//! Checks a storage as it is at one moment: the database, where bodies stand and what they say, the counters against a
//! recount, and that the index finds every row. Reads every body once, changes nothing.

mod finds;
mod set;

use super::backup::StillStorage;
use super::index_runs::{FilterMemory, Index, check_runs};
use super::keys::Hasher;
use super::options::ResultsOptions;
use super::segment::Segment;
use super::{slots, sql};
use crate::store::sqlite::connection::damaged;
use crate::store::sqlite::flaw::{Find, Part, or_flaw};
use crate::store::sqlite::snapshot::integrity;
use crate::store::{SetOwner, StorageKey, StoreError};
use rusqlite::Connection;
use std::collections::HashMap;
use std::path::Path;

/// Memory for the filters of the index, in bytes. A run whose filter has no room is read without.
const FILTER_BYTES: usize = 32 << 20;

/// All by primary key.
const SETS: &str = "SELECT set_no, owner, first_sequence, last_sequence FROM result_sets ORDER BY set_no";
const SOURCES: &str = "SELECT no, name FROM data_sources";
const PROGRESS: &str = "
    SELECT next_sequence, watermark, (SELECT coalesce(max(last_sequence), 0) FROM result_sets)
    FROM progress";
/// All regions, sorted for this.
const REGIONS: &str = "SELECT set_no, offset, length FROM regions ORDER BY offset";
/// Rows of the file that belong to no set, nor to one that is being removed.
const STRAY: [(&str, &str); 3] = [
    ("regions", "SELECT count(*) FROM regions WHERE set_no NOT IN known"),
    ("packs", "SELECT count(*) FROM packs WHERE id >> 40 NOT IN known"),
    ("counters", "SELECT count(*) FROM counters WHERE set_no NOT IN (SELECT set_no FROM result_sets)"),
];
const KNOWN: &str = "WITH known AS (SELECT set_no FROM result_sets UNION SELECT set_no FROM purges) ";

/// What was looked at.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Whose it is.
    pub key: StorageKey,
    /// Results that it holds.
    pub results: u64,
    /// Whose sets it holds.
    pub owners: Vec<SetOwner>,
}

/// Checks a storage, whose directory has this name. `moved` is told the bytes of bodies that were read.
///
/// # Errors
/// What keeps the check from reading. Damage is none: `find` is told of it.
pub fn check(
    directory: &Path,
    storage: &StillStorage,
    moved: &mut dyn FnMut(u64),
    find: Find<'_>,
) -> Result<Option<Storage>, StoreError> {
    let connection = storage.database().connection();
    for what in integrity(connection)? {
        find(Part::Database, what);
    }
    let checked = check_contents(directory, storage, moved, find);
    or_flaw(checked, Part::Database, "", find)
}

fn check_contents(
    directory: &Path,
    storage: &StillStorage,
    moved: &mut dyn FnMut(u64),
    find: Find<'_>,
) -> Result<Storage, StoreError> {
    let connection = storage.database().connection();
    let (key, secret) = connection.query_row(sql::STORAGE, [], |row| {
        let key = StorageKey { organization: row.get(0)?, storage_id: row.get(1)? };
        Ok((key, row.get::<_, [u8; 32]>(2)?))
    })?;
    if directory.file_name().is_none_or(|found| found != slots::name(&key).as_str()) {
        find(Part::Database, "the directory has the name of another storage".to_owned());
    }
    let (next, watermark, last): (i64, i64, i64) =
        connection.query_row(PROGRESS, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if last >= next || watermark >= next {
        find(Part::Database, format!("row {last} or the watermark {watermark} is not before the next row {next}"));
    }
    for (table, count) in STRAY {
        let count: i64 = connection.query_row(&format!("{KNOWN}{count}"), [], |row| row.get(0))?;
        if count > 0 {
            find(Part::References, format!("{count} {table} belong to no result set"));
        }
    }
    let (bodies, end) = storage.bodies();
    check_regions(connection, end, find)?;
    check_runs(connection, find)?;

    let segment = Segment::still(bodies.try_clone()?, end);
    let mut hasher = Hasher::new(secret);
    let (options, filters) = (ResultsOptions::default().index(), FilterMemory::new(FILTER_BYTES));
    let index = Index::load(connection, &segment, &mut hasher, options, filters);
    let index = or_flaw(index, Part::Index, "the index can't be read", find)?;
    let mut statement = connection.prepare(SOURCES)?;
    let sources = statement.query_map([], |row| Ok((row.get(1)?, row.get::<_, i64>(0)? as u64)))?;
    let sources: HashMap<String, u64> = sources.collect::<Result<_, _>>()?;
    let (mut results, mut owners) = (0, Vec::new());
    let mut statement = connection.prepare(SETS)?;
    let mut sets = statement.query([])?;
    while let Some(row) = sets.next()? {
        let owner = SetOwner::from_bytes(row.get(1)?);
        let place = set::Place { connection, segment: &segment, index: index.as_ref(), sources: &sources };
        let mut set = set::SetCheck::new(place, hasher.clone(), row.get::<_, i64>(0)? as u64, owner);
        let bounds = (row.get::<_, i64>(2)? as u64, row.get::<_, i64>(3)? as u64);
        results += set.check(bounds, moved, find)?;
        owners.push(owner);
    }
    Ok(Storage { key, results, owners })
}

/// Regions lie within the file and nothing belongs to two of them.
fn check_regions(connection: &Connection, end: u64, find: Find<'_>) -> Result<(), StoreError> {
    let mut statement = connection.prepare(REGIONS)?;
    let mut rows = statement.query([])?;
    let mut before = 0;
    while let Some(row) = rows.next()? {
        let (set, offset, length): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let numbers = u64::try_from(offset).ok().zip(u64::try_from(length).ok());
        let Some((offset, to)) = numbers.and_then(|(offset, length)| Some((offset, offset.checked_add(length)?)))
        else {
            return Err(damaged("a region lies outside its file"));
        };
        if to > end {
            find(Part::Bodies, format!("a region of set {set} ends at {to}, behind the end of the file at {end}"));
        }
        if offset < before {
            find(
                Part::Bodies,
                format!("a region of set {set} begins at {offset}, within another that ends at {before}"),
            );
        }
        before = before.max(to);
    }
    Ok(())
}
