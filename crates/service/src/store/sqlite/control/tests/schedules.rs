//! The suite of scheduled jobs.

use super::{File, SqliteControl};
use crate::store::conformance::schedules::{Fixture, Stores, schedules_suite};
use async_trait::async_trait;
use std::sync::Arc;

#[async_trait]
impl Fixture for File {
    async fn open(&self) -> Stores {
        let store = Arc::new(SqliteControl::open(&self.path()).expect("the file opens"));
        Stores { control: store.clone(), schedules: store }
    }
}

schedules_suite!(File::new());
