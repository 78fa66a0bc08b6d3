//! Waiting for many descriptors at once: a thin layer over epoll that gives each a number of the caller's choice.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// Most descriptors reported by one wait; the others are reported by the next.
const EVENTS: usize = 256;

pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// A descriptor that can be used now. Readable is also one whose other end has gone.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub token: u64,
    pub readable: bool,
}

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    Read,
    ReadWrite,
    Write,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Interest::Read => EventFlags::IN,
            Interest::ReadWrite => EventFlags::IN | EventFlags::OUT,
            Interest::Write => EventFlags::OUT,
        }
    }
}

impl Poller {
    pub fn new() -> io::Result<Poller> {
        Ok(Poller { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS) })
    }

    /// Watches a descriptor until it is removed.
    pub fn add(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Ends the watch. To close the descriptor does not do: a child that was just forked has it too until it
    /// executes its program, and until then the end of a pipe would be reported again and again.
    pub fn remove(&self, descriptor: impl AsFd) {
        if let Err(e) = epoll::delete(&self.epoll, descriptor)
            && e != Errno::NOENT
        {
            tracing::warn!("ending a watch: {e}");
        }
    }

    pub fn change(&self, descriptor: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(token), interest.flags())?)
    }

    /// Waits until a descriptor is ready or the time is over; a signal also ends the wait.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<Vec<Ready>> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let gone = EventFlags::HUP | EventFlags::ERR;
        let ready = self.events.iter().map(|event| {
            // Copied, for the kernel's form of an event is packed.
            let flags = event.flags;
            Ready { token: event.data.u64(), readable: flags.intersects(EventFlags::IN | gone) }
        });
        Ok(ready.collect())
    }
}
