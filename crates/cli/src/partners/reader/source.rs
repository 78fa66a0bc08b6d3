//! The input of the reader with a bounded buffer and its position. Knows lines, not rows.

use std::io::{self, Read};

use super::MAX_ROW_BYTES;

/// The input with a bounded buffer and its position.
#[derive(Debug)]
pub struct Source<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// True when nothing follows what is available.
    pub ended: bool,
    /// The line at `start`, counted from 1 by line feeds.
    pub line: u64,
    /// How many bytes were consumed.
    pub consumed: u64,
}

impl<R: Read> Source<R> {
    /// Several rows of the greatest length, so that moving the rest to the front is rare.
    pub const CAPACITY: usize = 4 * MAX_ROW_BYTES;

    /// Nothing is read yet.
    pub fn new(input: R) -> Self {
        Self { input, buffer: vec![0; Self::CAPACITY], start: 0, end: 0, ended: false, line: 1, consumed: 0 }
    }

    /// What was read and not consumed.
    pub fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Moves what is available to the front and reads until the buffer is full or the input ends.
    pub fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(bytes) => self.end += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives up the first bytes of what is available and counts their lines.
    pub fn consume(&mut self, bytes: usize) {
        let taken = &self.buffer[self.start..self.start + bytes];
        self.line += taken.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.start += bytes;
        self.consumed += bytes as u64;
    }

    /// Consumes line ends in front of the next row.
    pub fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            let ends = self.available().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.consume(ends);
            if self.start < self.end || self.ended {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Consumes everything up to and with the next line end.
    pub fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(place) = self.available().iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
                self.consume(place + 1);
                return Ok(());
            }
            self.consume(self.end - self.start);
            if self.ended {
                return Ok(());
            }
            self.fill()?;
        }
    }
}
