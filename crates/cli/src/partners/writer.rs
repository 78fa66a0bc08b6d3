//! Writes partners as CSV (RFC 4180), with the columns of `COLUMNS`.

use std::io::{self, Write};

use super::partner::{COLUMNS, Partner};

/// Writes a header row and one row a partner. Writes are buffered.
#[derive(Debug)]
pub struct PartnerWriter<W: Write> {
    csv: csv::Writer<W>,
}

impl<W: Write> PartnerWriter<W> {
    /// Writes the header row.
    ///
    /// # Errors
    /// Fails when `output` does.
    pub fn new(output: W) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(output);
        csv.write_record(COLUMNS)?;
        Ok(Self { csv })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// Fails when the output does.
    pub fn write(&mut self, partner: &Partner) -> io::Result<()> {
        Ok(self.csv.write_record(partner.fields())?)
    }

    /// Writes what is buffered and gives the output back.
    ///
    /// # Errors
    /// Fails when the output does.
    pub fn finish(self) -> io::Result<W> {
        self.csv.into_inner().map_err(|error| error.into_error())
    }
}
