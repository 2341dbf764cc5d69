//! What a machine's two serial ports bring, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Instant;

#[derive(Debug)]
pub enum Arrival {
    Console(Line),
    Agent(String),
    /// QEMU closed the console: it has ended.
    End,
}

#[derive(Clone, Debug)]
pub struct Line {
    /// When it was complete.
    pub at: Instant,
    pub text: String,
}

/// Reads the console to its end, line by line into the channel and into the log. The log has a
/// thread of its own: a busy disk may hold up a write for seconds, and the next line would seem to
/// arrive so much later.
pub(super) fn read_console(console: impl Read, mut log: File, sender: &Sender<Arrival>) {
    let (to_log, lines) = mpsc::channel::<Vec<u8>>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for bytes in lines {
                // A log that cannot be written must not end the run.
                let _ = log.write_all(&bytes);
            }
        });
        let mut reader = BufReader::new(console);
        loop {
            let mut bytes = Vec::new();
            if !reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                break;
            }
            let line = Line { at: Instant::now(), text: text_of(&bytes) };
            let _ = to_log.send(bytes);
            if sender.send(Arrival::Console(line)).is_err() {
                break;
            }
        }
        // The log's thread ends when this is gone.
        drop(to_log);
    });
    // Nobody may be listening any more, which is well.
    let _ = sender.send(Arrival::End);
}

pub(super) fn read_agent(agent: UnixStream, sender: &Sender<Arrival>) {
    let mut reader = BufReader::new(agent);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        if sender.send(Arrival::Agent(text_of(&bytes))).is_err() {
            return;
        }
        bytes.clear();
    }
}

/// A line without its end; bytes that are not UTF-8 are replaced.
fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches(['\r', '\n']).to_owned()
}
