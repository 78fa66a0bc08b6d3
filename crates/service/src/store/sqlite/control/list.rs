//! Lists of jobs: merges the walks of a plan into a page.

use super::filter::Filter;
use super::plan::{self, Arm, Plan};
use super::rows;
use crate::store::{JobList, JobQuery, Scope, StoreError};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use std::collections::{BinaryHeap, VecDeque};

/// By the primary key.
const TYPES: &str = "
    SELECT DISTINCT t.text
    FROM job_count AS c
        JOIN name AS t ON t.id = c.type
        JOIN name AS o ON o.id = c.organization
    WHERE ?1 IS NULL OR o.text = ?1
    ORDER BY t.text";

/// A page of jobs.
pub(super) fn list(connection: &Connection, query: &JobQuery) -> Result<JobList, StoreError> {
    let Some(filter) = Filter::resolve(connection, query)? else {
        return Ok(JobList { jobs: Vec::new(), next: None, total: query.with_total.then_some(0) });
    };
    let plan = plan::choose(connection, filter)?;
    let mut merge = Merge::new(connection, &plan, query.descending, query.after, query.limit);
    let mut page = Vec::new();
    while page.len() < query.limit
        && let Some(seq) = merge.next()?
    {
        page.push(seq);
    }
    let more = !page.is_empty() && merge.next()?.is_some();
    let next = page.last().filter(|_| more).and_then(|last| u64::try_from(*last).ok());
    let total = if query.with_total { u64::try_from(total(connection, &plan)?).ok() } else { None };
    let jobs = page.into_iter().map(|seq| rows::read(connection, seq)).collect::<Result<_, _>>()?;
    Ok(JobList { jobs, next, total })
}

/// The types that jobs of the scope have.
pub(super) fn types(connection: &Connection, scope: &Scope) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(TYPES)?;
    let types = statement.query_map(params![rows::organization(scope)], |row| row.get(0))?;
    Ok(types.collect::<Result<_, _>>()?)
}

fn total(connection: &Connection, plan: &Plan) -> Result<i64, StoreError> {
    if let Some(total) = plan.total {
        return Ok(total);
    }
    let mut total = 0;
    if plan.overlap {
        let mut merge = Merge::new(connection, plan, false, None, COUNT_STEP);
        while merge.next()?.is_some() {
            total += 1;
        }
        return Ok(total);
    }
    let rest = plan.rest.parameters();
    for arm in &plan.arms {
        let parameters = parameters(arm, &rest, 0, 1);
        total += connection
            .prepare_cached(arm.walk.count)?
            .query_row(params_from_iter(parameters), |row| row.get::<_, i64>(0))?;
    }
    Ok(total)
}

/// Positions read at a time where all are counted.
const COUNT_STEP: usize = 4096;

fn parameters<'a>(arm: &'a Arm, rest: &'a [Value; 6], after: i64, limit: i64) -> impl Iterator<Item = Value> + 'a {
    let head = [Value::from(arm.organization), Value::from(after), Value::from(limit)];
    head.into_iter().chain(rest.iter().cloned()).chain(arm.key.iter().cloned())
}

/// The walks of a plan, merged. Each is read in parts that double, since most of them give little to a page.
struct Merge<'a> {
    connection: &'a Connection,
    plan: &'a Plan,
    rest: [Value; 6],
    descending: bool,
    limit: usize,
    streams: Vec<Stream>,
    /// The head of each stream, as (rank, stream); the largest rank comes first.
    heads: BinaryHeap<(i64, usize)>,
    started: bool,
    given: Option<i64>,
}

struct Stream {
    read: VecDeque<i64>,
    after: i64,
    part: usize,
    ended: bool,
}

impl<'a> Merge<'a> {
    fn new(connection: &'a Connection, plan: &'a Plan, descending: bool, after: Option<u64>, limit: usize) -> Self {
        let start = after.map(|after| i64::try_from(after).unwrap_or(i64::MAX));
        let after = start.unwrap_or(if descending { i64::MAX } else { 0 });
        let part = (limit / plan.arms.len().max(1)).saturating_add(2);
        let stream = |_: &Arm| Stream { read: VecDeque::new(), after, part, ended: false };
        Self {
            connection,
            plan,
            rest: plan.rest.parameters(),
            descending,
            limit: limit.saturating_add(1),
            streams: plan.arms.iter().map(stream).collect(),
            heads: BinaryHeap::new(),
            started: false,
            given: None,
        }
    }

    fn next(&mut self) -> Result<Option<i64>, StoreError> {
        if !self.started {
            self.started = true;
            for stream in 0..self.streams.len() {
                self.push_head(stream)?;
            }
        }
        while let Some((rank, stream)) = self.heads.pop() {
            self.push_head(stream)?;
            let seq = if self.descending { rank } else { -rank };
            // A job with two of the tags comes from two walks, one after the other.
            if self.given.replace(seq) != Some(seq) {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }

    fn push_head(&mut self, index: usize) -> Result<(), StoreError> {
        let Some(stream) = self.streams.get_mut(index) else { return Ok(()) };
        if stream.read.is_empty() && !stream.ended {
            self.read_part(index)?;
        }
        if let Some(seq) = self.streams.get_mut(index).and_then(|stream| stream.read.pop_front()) {
            self.heads.push((if self.descending { seq } else { -seq }, index));
        }
        Ok(())
    }

    fn read_part(&mut self, index: usize) -> Result<(), StoreError> {
        let (Some(stream), Some(arm)) = (self.streams.get_mut(index), self.plan.arms.get(index)) else { return Ok(()) };
        let sql = if self.descending { arm.walk.descending } else { arm.walk.ascending };
        let part = stream.part.min(self.limit);
        let limit = i64::try_from(part).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(parameters(arm, &self.rest, stream.after, limit)))?;
        while let Some(row) = rows.next()? {
            stream.read.push_back(row.get(0)?);
        }
        stream.ended = stream.read.len() < part;
        stream.after = stream.read.back().copied().unwrap_or(stream.after);
        stream.part = part.saturating_mul(2);
        Ok(())
    }
}
