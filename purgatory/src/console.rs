//! [3] What the purgatory says, and where: one line at a time, each beginning with `purgatory: `.
//!
//! On entry: the block has been read but nothing in it is proven; a console is taken at the block's word, because a message
//! about a damaged block is worth more than silence. On exit of every call: time was bounded, whatever the UART did.

use handoff::block::HIGHEST_CONSOLE_PORT;
use handoff::text::Text;
use handoff::{Block, ConsoleKind, Permissions};

/// Something that takes bytes and gives up by itself when they cannot be sent.
pub trait Transmit {
    /// Sends one byte, or drops it.
    fn transmit(&mut self, byte: u8);
}

/// A console that may be absent.
#[derive(Debug)]
pub struct Console<T> {
    uart: Option<T>,
}

/// A line being written; it ends when the value is dropped.
#[derive(Debug)]
pub struct Line<'a, T: Transmit> {
    console: &'a mut Console<T>,
}

impl<T: Transmit> Console<T> {
    /// The console that `block` alleges, made by `open` from its port; none unless port I/O is allowed.
    pub fn alleged(block: &Block, open: impl FnOnce(u16) -> T) -> Self {
        Self { uart: alleged_port(block).map(open) }
    }

    /// Begins a line.
    pub fn line(&mut self) -> Line<'_, T> {
        let mut line = Line { console: self };
        line.text("purgatory: ");
        line
    }
}

impl<T: Transmit> Text for Line<'_, T> {
    fn byte(&mut self, byte: u8) {
        if let Some(uart) = &mut self.console.uart {
            uart.transmit(byte);
        }
    }
}

impl<T: Transmit> Drop for Line<'_, T> {
    fn drop(&mut self) {
        self.text("\r\n");
    }
}

/// The port of the UART that the block names, if it may be touched and can exist.
fn alleged_port(block: &Block) -> Option<u16> {
    let allowed = Permissions::from_wire(block.permissions.get())?.allow(Permissions::PORT_IO);
    let port = u16::try_from(block.console.port.get()).ok()?;
    match ConsoleKind::from_wire(block.console.kind.get())? {
        ConsoleKind::Uart8250 if allowed && (1..=HIGHEST_CONSOLE_PORT).contains(&port) => Some(port),
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

    #[derive(Debug, Default)]
    struct Paper(String);

    impl Transmit for Paper {
        fn transmit(&mut self, byte: u8) {
            self.0.push(byte as char);
        }
    }

    fn block(permissions: Permissions, kind: u32, port: u32) -> Block {
        let mut block = Block::blank();
        block.permissions = U32::new(permissions.bits());
        block.console = ConsoleSettings { kind: U32::new(kind), port: U32::new(port) };
        block
    }

    #[test]
    fn line_carries_who_speaks() {
        let mut console = Console::alleged(&block(Permissions::ALL, 1, 0x3f8), |_| Paper::default());
        console.line().decimal(1).text(" of ").digits(&[0x0a, 0xff]);
        assert_eq!(console.uart.unwrap().0, "purgatory: 1 of 0aff\r\n");
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
            assert!(Console::alleged(&block(permissions, kind, port), |_| Paper::default()).uart.is_none(), "{kind} {port:#x}");
        }
    }
}
