//! Checks the runs themselves: blocks where the fences say, entries in order and as many as the run counts, filters that
//! know every key. Whether they find every row is for who reads the rows.

use super::run::{BLOCK_BITS, Block, Run};
use super::{Entry, read_filter, sql};
use crate::store::StoreError;
use crate::store::sqlite::connection::damaged;
use crate::store::sqlite::flaw::{Find, Part, or_flaw};
use crate::store::sqlite::results::keys::{Kind, head_of, is_of};
use rusqlite::Connection;

/// Number, entries, revisions and fences of every run.
const RUNS: &str = "SELECT run, entries, revisions, fences FROM runs ORDER BY run";

/// Checks every run of a file.
pub fn check_runs(connection: &Connection, find: Find<'_>) -> Result<(), StoreError> {
    let mut statement = connection.prepare(RUNS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (no, counted): (i64, (i64, i64)) = (row.get(0)?, (row.get(1)?, row.get(2)?));
        let fences = row.get_ref(3)?.as_blob().ok().and_then(Run::read_fences);
        let fences = fences.ok_or_else(|| damaged("its fences make no sense"));
        let checked = fences.and_then(|fences| check_run(connection, no as u64, counted, &fences));
        or_flaw(checked, Part::Index, &format!("index run {no}"), find)?;
    }
    Ok(())
}

fn check_run(connection: &Connection, no: u64, counted: (i64, i64), fences: &[Entry]) -> Result<(), StoreError> {
    let filter = read_filter(connection, no)?;
    let range = ((no << BLOCK_BITS) as i64, ((no + 1) << BLOCK_BITS) as i64);
    let mut statement = connection.prepare_cached(sql::BLOCKS)?;
    let mut blocks = statement.query((range.0, range.1, i64::MAX))?;
    let (mut read, mut entries, mut revisions) = (0, 0, 0);
    let mut last: Option<Entry> = None;
    while let Some(row) = blocks.next()? {
        let block = Block::read(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        // Fences do not tell records.
        let first = block.entry(0);
        if fences.get(read) != Some(&Entry::new(first.key, first.sequence)) {
            return Err(damaged("a block does not begin as its fence says"));
        }
        for entry in (0..block.len()).map(|place| block.entry(place)) {
            if last.is_some_and(|last| last >= entry) {
                return Err(damaged("its entries are not in order"));
            }
            if !is_of(Kind::Tag, entry.key) && !filter.may_contain(head_of(entry.key), entry.key) {
                return Err(damaged("its filter does not know one of its keys"));
            }
            revisions += i64::from(is_of(Kind::Revision, entry.key));
            entries += 1;
            last = Some(entry);
        }
        read += 1;
    }
    if read != fences.len() {
        return Err(damaged(&format!("it has {read} blocks and should have {}", fences.len())));
    }
    if (entries, revisions) != counted {
        return Err(damaged("it does not hold as many entries as it counts"));
    }
    Ok(())
}
