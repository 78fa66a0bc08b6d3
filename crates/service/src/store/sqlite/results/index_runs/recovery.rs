//! What no run holds yet, read again after a crash: entries of the rows behind the watermark, from the rows themselves,
//! and `pending_entries`.

use super::memory::Memory;
use super::run::{Block, PAGE_ENTRIES, encode_block};
use super::{Entry, sql};
use crate::store::StoreError;
use crate::store::encode::FilterIds;
use crate::store::sqlite::results::keys::{Hasher, Kind, MAX_SEQUENCE, id_key, identity_key, record_of};
use crate::store::sqlite::results::segment::Segment;
use crate::store::sqlite::results::walk;
use rusqlite::{Connection, params};

/// The number of the last row of `pending_entries`.
pub fn last_pending(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row(sql::LAST_PENDING, [], |row| row.get(0))?)
}

/// Saves entries that could not be read again from their rows, in rows behind `last`; answers the new last number.
pub fn save_pending(connection: &Connection, entries: &[Entry], mut last: i64) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached(sql::INSERT_PENDING)?;
    for entries in entries.chunks(PAGE_ENTRIES) {
        last += 1;
        statement.execute(params![last, encode_block(entries)])?;
    }
    Ok(last)
}

/// The entries that no run holds.
pub fn read_behind(connection: &Connection, segment: &Segment, hasher: &mut Hasher) -> Result<Memory, StoreError> {
    let mut memory = Memory::default();
    let watermark: i64 = connection.query_row(sql::WATERMARK, [], |row| row.get(0))?;
    let mut statement = connection.prepare(sql::SETS_BEHIND)?;
    let sets: Vec<i64> = statement.query_map([watermark], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let (mut rows, mut buffer) = (Vec::new(), Vec::new());
    for set_no in sets {
        let set_no = set_no as u64;
        let mut after = watermark as u64;
        while after < MAX_SEQUENCE {
            after = walk::gather(connection, set_no, (after, MAX_SEQUENCE), usize::MAX, |_| true, &mut rows)?;
            walk::each_body(
                segment,
                &rows,
                usize::MAX,
                |_| true,
                &mut buffer,
                |row, body| {
                    let ids = FilterIds::read(body)?;
                    memory.insert(Entry::new(identity_key(&row.identity, set_no), row.sequence));
                    memory.insert(Entry::new(row.tag.key(set_no), row.sequence));
                    for (kind, id) in
                        [(Kind::BusinessPartner, &ids.business_partner_id), (Kind::ExternalId, &ids.external_id)]
                    {
                        if let Some(id) = id {
                            let key = id_key(hasher.head(kind, &id.0), set_no);
                            memory.insert(Entry { key, sequence: row.sequence, record: record_of(&row.identity) });
                        }
                    }
                    Ok(true)
                },
            )?;
        }
    }
    let mut statement = connection.prepare(sql::PENDING)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let block = Block::read(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        (0..block.len()).for_each(|place| memory.insert(block.entry(place)));
    }
    Ok(memory)
}
