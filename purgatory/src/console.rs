//! `[3]` What the purgatory prints: one line at a time, each beginning with `purgatory: `.
//!
//! *On entry*: the block was read, but nothing in it is proven. Its console is used unproven,
//! because a message about a damaged block is worth more than silence.
//!
//! *On exit* of every call: it took bounded time, whatever the UART did.

use handoff::block::HIGHEST_CONSOLE_PORT;
use handoff::text::Text;
use handoff::{Block, ConsoleKind, Permissions};

/// LSR: the transmit holding register accepts a byte (16550 data sheet).
const LSR_THRE: u8 = 1 << 5;

/// How often the line status is read for one byte before the UART is given up. With a FIFO the bit
/// means that the FIFO is empty, and the panicked kernel may have left sixteen bytes in it: 16.7 ms
/// at 9600 baud. Reading an I/O port takes from 50 ns to a few µs. So a working UART is never given
/// up, and a stuck one costs a second or two, once.
pub const PATIENCE: u32 = 400_000;

/// The two registers of a UART that transmitting needs.
pub trait Ports {
    /// Reads the line status register.
    fn line_status(&mut self) -> u8;
    /// Writes the transmit holding register.
    fn send(&mut self, byte: u8);
}

/// A UART that is no longer used after the first byte that it does not accept.
#[derive(Debug)]
pub struct Uart<P> {
    ports: P,
    stuck: bool,
}

impl<P: Ports> Uart<P> {
    fn transmit(&mut self, byte: u8) {
        self.stuck = self.stuck || !(0..PATIENCE).any(|_| self.ports.line_status() & LSR_THRE != 0);
        if !self.stuck {
            self.ports.send(byte);
        }
    }
}

/// A console that may be absent.
#[derive(Debug)]
pub struct Console<P> {
    uart: Option<Uart<P>>,
}

/// A line being written; it ends when the value is dropped.
#[derive(Debug)]
pub struct Line<'a, P: Ports> {
    console: &'a mut Console<P>,
}

impl<P: Ports> Console<P> {
    /// The console that the unproven `block` names. `open` makes it from its port. There is none
    /// unless port I/O is allowed.
    pub fn alleged(block: &Block, open: impl FnOnce(u16) -> P) -> Self {
        Self::new(alleged_port(block).map(open))
    }

    /// The console at these ports, if there are any.
    pub fn new(ports: Option<P>) -> Self {
        Self { uart: ports.map(|ports| Uart { ports, stuck: false }) }
    }

    /// Ends the line that interrupted code may have been printing.
    pub fn break_line(&mut self) {
        Line { console: self };
    }

    /// Begins a line.
    pub fn line(&mut self) -> Line<'_, P> {
        let mut line = Line { console: self };
        line.text("purgatory: ");
        line
    }
}

impl<P: Ports> Text for Line<'_, P> {
    #[inline(never)] // once for all callers
    fn byte(&mut self, byte: u8) {
        if let Some(uart) = &mut self.console.uart {
            uart.transmit(byte);
        }
    }
}

impl<P: Ports> Drop for Line<'_, P> {
    fn drop(&mut self) {
        self.text("\r\n");
    }
}

/// The port of the UART that the block names, if port I/O is allowed and the port can exist.
fn alleged_port(block: &Block) -> Option<u16> {
    let allowed = Permissions::from_wire(block.permissions.get())?.allow(Permissions::PORT_IO);
    let port = u16::try_from(block.console.port.get()).ok()?;
    match ConsoleKind::from_wire(block.console.kind.get())? {
        ConsoleKind::Uart8250 if allowed && (1..=HIGHEST_CONSOLE_PORT).contains(&port) => {
            Some(port)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use handoff::ConsoleSettings;
    use std::string::String;
    use zerocopy::little_endian::U32;

    /// A UART that is ready when `ready` says so, and that records how often it was polled and what
    /// it was sent.
    #[derive(Debug)]
    struct Paper {
        ready: fn(asked: u32) -> bool,
        asked: u32,
        sent: String,
    }

    impl Ports for Paper {
        fn line_status(&mut self) -> u8 {
            self.asked += 1;
            if (self.ready)(self.asked) { LSR_THRE } else { !LSR_THRE }
        }

        fn send(&mut self, byte: u8) {
            self.sent.push(byte as char);
        }
    }

    fn console(ready: fn(u32) -> bool) -> Console<Paper> {
        let paper = Paper { ready, asked: 0, sent: String::new() };
        Console::alleged(&block(Permissions::ALL, 1, 0x3f8), |_| paper)
    }

    fn block(permissions: Permissions, kind: u32, port: u32) -> Block {
        let mut block = Block::blank();
        block.permissions = U32::new(permissions.bits());
        block.console = ConsoleSettings { kind: U32::new(kind), port: U32::new(port) };
        block
    }

    #[test]
    fn every_line_begins_with_the_programs_name() {
        let mut console = console(|_| true);
        console.line().decimal(1).text(" of ").digits(&[0x0a, 0xff]);
        assert_eq!(console.uart.unwrap().ports.sent, "purgatory: 1 of 0aff\r\n");
    }

    #[test]
    fn slow_uart_is_waited_for() {
        let mut console = console(|asked| asked % 1000 == 0);
        console.line().text("slow");
        assert_eq!(console.uart.unwrap().ports.sent, "purgatory: slow\r\n");
    }

    #[test]
    #[cfg_attr(miri, ignore = "polls 400 000 times, which takes Miri half a minute")]
    fn stuck_uart_is_given_up_once_and_for_all() {
        let mut console = console(|_| false);
        console.line().text("unread");
        console.line().text("unread as well");
        let paper = console.uart.unwrap().ports;
        assert_eq!((paper.asked, paper.sent.as_str()), (PATIENCE, ""));
    }

    #[test]
    fn absent_uart_costs_nothing() {
        // No device answers, so all bits read as one: it always seems ready.
        let mut console = console(|_| true);
        console.line().text("into the void");
        assert_eq!(
            console.uart.unwrap().ports.asked as usize,
            "purgatory: into the void\r\n".len()
        );
    }

    fn opened_by(block: &Block) -> Option<u16> {
        let mut opened = None;
        Console::alleged(block, |port| {
            opened = Some(port);
            Paper { ready: |_| true, asked: 0, sent: String::new() }
        });
        opened
    }

    #[test]
    fn port_is_left_alone_unless_the_block_allows_it_and_it_can_exist() {
        for (permissions, kind, port) in [
            (Permissions::NONE, 1, 0x3f8),
            (Permissions::CPUID, 1, 0x3f8),
            (Permissions::ALL, 0, 0x3f8),
            (Permissions::ALL, 2, 0x3f8),
            (Permissions::ALL, 1, 0),
            (Permissions::ALL, 1, 0xfff9),
            (Permissions::ALL, 1, 0x1_03f8),
        ] {
            assert!(opened_by(&block(permissions, kind, port)).is_none(), "{kind} {port:#x}");
        }
    }
}
