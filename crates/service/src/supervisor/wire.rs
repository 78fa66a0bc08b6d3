//! The supervisor's end of the socket. Owns connections, the greeting, and that only one server is listened to at a
//! time; what is asked is for the caller to carry out.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use super::poller::{Interest, Poller, Ready};
use crate::executors::process::protocol::{self, Decoder, Hello, PROTOCOL, Reply, Request};

/// The numbers of connections begin here.
pub const FIRST_TOKEN: u64 = 1 << 62;
/// Connections that have not yet greeted.
const GREETING_MOST: usize = 16;
/// How long a connection may take to greet.
const GREETING_LIMIT: Duration = Duration::from_secs(5);
/// Bytes read of a connection before others have their turn.
const READ_BYTES: usize = 1024 * 1024;
/// Events are held back while so many bytes wait to be sent.
const SEND_BYTES: usize = 1024 * 1024;
/// A server that lets so many bytes wait does not read; its connection is closed.
const SEND_LIMIT: usize = 64 * 1024 * 1024;

pub struct Wire {
    listener: UnixListener,
    connections: HashMap<u64, Connection>,
    /// The one that has greeted last.
    server: Option<u64>,
    next_token: u64,
}

struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    out: Vec<u8>,
    sent: usize,
    interest: Interest,
    since: Instant,
    greeted: bool,
    /// To be closed when all is sent.
    closing: bool,
}

/// What a connection brought.
pub enum Heard {
    /// A server has taken over.
    Server(Hello),
    Request(Request),
}

impl Wire {
    pub fn new(listener: UnixListener) -> Wire {
        Wire { listener, connections: HashMap::new(), server: None, next_token: FIRST_TOKEN }
    }

    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    pub fn has_server(&self) -> bool {
        self.server.is_some()
    }

    pub fn has_connections(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Takes in those who knock.
    pub fn accept(&mut self, poller: &Poller) {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => {
                    tracing::warn!("accepting a connection: {e}");
                    return;
                }
            };
            if self.connections.values().filter(|c| !c.greeted).count() >= GREETING_MOST {
                tracing::warn!("too many connections that do not greet: one is refused");
                continue;
            }
            let token = self.next_token;
            self.next_token += 1;
            let prepared = stream.set_nonblocking(true).and_then(|()| poller.add(&stream, token));
            if let Err(e) = prepared {
                tracing::warn!("preparing a connection: {e}");
                continue;
            }
            let connection = Connection {
                stream,
                decoder: Decoder::default(),
                out: Vec::new(),
                sent: 0,
                interest: Interest::Read,
                since: Instant::now(),
                greeted: false,
                closing: false,
            };
            self.connections.insert(token, connection);
        }
    }

    /// Reads and writes what a connection is ready for; answers what came, in order.
    pub fn serve(&mut self, ready: Ready, poller: &Poller) -> Vec<Heard> {
        let mut heard = Vec::new();
        if ready.readable && self.connections.get(&ready.token).is_some_and(|c| !c.closing) {
            self.read(ready.token, poller, &mut heard);
        }
        self.flush(ready.token, poller);
        heard
    }

    fn read(&mut self, token: u64, poller: &Poller, heard: &mut Vec<Heard>) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        let open = connection.fill();
        loop {
            let Some(connection) = self.connections.get_mut(&token) else {
                return;
            };
            match connection.decoder.next_frame::<Request>() {
                Ok(Some(Request::Hello(hello))) if !connection.greeted => {
                    if !self.greet(token, &hello) {
                        return;
                    }
                    heard.push(Heard::Server(hello));
                }
                Ok(Some(request)) if connection.greeted => heard.push(Heard::Request(request)),
                Ok(Some(_)) => {
                    tracing::warn!("a connection that did not greet first is closed");
                    return self.close(token, poller);
                }
                Ok(None) => break,
                Err(e) => {
                    tracing::warn!("a connection is closed: {e}");
                    return self.close(token, poller);
                }
            }
        }
        if !open {
            self.close(token, poller);
        }
    }

    /// Answers a greeting. A server of this version takes over from the one before.
    fn greet(&mut self, token: u64, hello: &Hello) -> bool {
        let same = hello.protocol == PROTOCOL;
        if same
            && let Some(before) = self.server.replace(token)
            && let Some(connection) = self.connections.get_mut(&before)
        {
            connection.closing = true;
            connection.since = Instant::now();
            connection.greeted = false;
            connection.send(&Reply::Replaced);
        }
        let Some(connection) = self.connections.get_mut(&token) else {
            return false;
        };
        connection.greeted = same;
        connection.closing = !same;
        connection.send(&Reply::Hello { protocol: PROTOCOL, pid: rustix::process::getpid().as_raw_pid() });
        if !same {
            let theirs = hello.protocol;
            tracing::warn!("a server of protocol {theirs} is refused: this supervisor speaks {PROTOCOL}");
        }
        same
    }

    /// Puts a message to the server, if there is one, into its buffer.
    pub fn send(&mut self, reply: &Reply) {
        if let Some(connection) = self.server.and_then(|token| self.connections.get_mut(&token)) {
            connection.send(reply);
        }
    }

    /// Whether the server can take more events now.
    pub fn wants_events(&self) -> bool {
        let connection = self.server.and_then(|token| self.connections.get(&token));
        connection.is_some_and(|connection| connection.out.len() - connection.sent < SEND_BYTES)
    }

    /// Sends what waits, as far as the sockets take it, and closes those that are done or late.
    pub fn flush_all(&mut self, poller: &Poller, now: Instant) {
        let late = |c: &Connection| !c.greeted && now >= c.since + GREETING_LIMIT;
        let tokens: Vec<u64> = self.connections.keys().copied().collect();
        for token in tokens {
            match self.connections.get(&token).is_some_and(late) {
                true => self.close(token, poller),
                false => self.flush(token, poller),
            }
        }
    }

    /// When a connection that has not greeted is to be closed.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.connections.values().filter(|connection| !connection.greeted);
        waiting.map(|connection| connection.since + GREETING_LIMIT).min()
    }

    fn flush(&mut self, token: u64, poller: &Poller) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        if let Err(e) = connection.flush(token, poller) {
            if e.kind() != ErrorKind::BrokenPipe {
                tracing::warn!("a connection is closed: {e}");
            }
            return self.close(token, poller);
        }
        if connection.closing && connection.out.is_empty() {
            self.close(token, poller);
        }
    }

    fn close(&mut self, token: u64, poller: &Poller) {
        if let Some(connection) = self.connections.remove(&token) {
            poller.remove(connection.stream);
        }
        if self.server == Some(token) {
            self.server = None;
        }
    }
}

impl Connection {
    /// Reads what is there, within bounds. False when the other end has closed.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        let mut total = 0;
        while total < READ_BYTES {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => {
                    total += n;
                    self.decoder.feed(&buffer[..n]);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        true
    }

    fn send(&mut self, reply: &Reply) {
        if let Err(e) = protocol::encode(reply, &mut self.out) {
            // Replies are cut to a number of entries of bounded size.
            tracing::error!("a reply was left out: {e}");
        }
    }

    fn flush(&mut self, token: u64, poller: &Poller) -> io::Result<()> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.out.len() - self.sent > SEND_LIMIT {
            return Err(io::Error::other("the server does not read"));
        }
        let interest = match (self.out.is_empty(), self.closing) {
            (true, _) => Interest::Read,
            (false, false) => Interest::ReadWrite,
            (false, true) => Interest::Write,
        };
        if interest != self.interest {
            poller.change(&self.stream, token, interest)?;
            self.interest = interest;
        }
        Ok(())
    }
}
