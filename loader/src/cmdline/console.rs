//! `[6e]` The serial console that a command line names. The purgatory prints on the same one.
//!
//! *On entry* the capture kernel's command line. *On exit* the first I/O port of the 8250 that the
//! kernel prints on, if there is one.

use handoff::block::HIGHEST_CONSOLE_PORT;

use super::parameter::parameters;

/// The first I/O port of the 8250 that is the kernel's console or early console. If the line names
/// several, the last one, as for /dev/console.
pub(crate) fn console_port(line: impl AsRef<[u8]>) -> Option<u16> {
    let (words, _) = parameters(line.as_ref());
    let text = |bytes| str::from_utf8(bytes).ok();
    words.iter().rev().find_map(|word| port_of(text(word.name())?, text(word.value()?)?))
}

fn port_of(name: &str, value: &str) -> Option<u16> {
    let mut parts = value.split(',');
    let first = parts.next()?;
    match name {
        "console" | "earlycon" if matches!(first, "uart8250" | "uart") => {
            if parts.next()? == "io" {
                hexadecimal_port(parts.next()?)
            } else {
                None
            }
        }
        "console" => legacy_port(first),
        "earlyprintk" => {
            value.strip_prefix("serial").or_else(|| value.strip_prefix("ttyS")).and_then(early_port)
        }
        _ => None,
    }
}

/// The first I/O port of `ttyS0` to `ttyS3` (`SERIAL_PORT_DFNS`, arch/x86/include/asm/serial.h).
pub fn legacy_port(device: &str) -> Option<u16> {
    Some(match device {
        "ttyS0" => 0x3f8,
        "ttyS1" => 0x2f8,
        "ttyS2" => 0x3e8,
        "ttyS3" => 0x2e8,
        _ => return None,
    })
}

/// Parses the rest after `serial` or `ttyS` in `earlyprintk=`: `,0xPORT`, or a device's number. The
/// kernel knows two devices here, and uses the first for any other number (`early_serial_init`,
/// arch/x86/kernel/early_printk.c).
fn early_port(rest: &str) -> Option<u16> {
    let device = rest.strip_prefix(',').unwrap_or(rest).split(',').next()?;
    if device.starts_with("0x") {
        return hexadecimal_port(device);
    }
    let number = device.strip_prefix("ttyS").unwrap_or(device);
    legacy_port(if number == "1" { "ttyS1" } else { "ttyS0" })
}

/// Parses the first I/O port of a UART, written as `0xPORT`.
pub fn hexadecimal_port(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0x")?;
    if digits.starts_with('+') {
        return None;
    }
    u16::from_str_radix(digits, 16).ok().filter(|&port| (1..=HIGHEST_CONSOLE_PORT).contains(&port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_serial_console_is_found() {
        for (line, port) in [
            ("console=ttyS0", Some(0x3f8)),
            ("console=ttyS1,115200n8", Some(0x2f8)),
            ("console=ttyS2 console=tty0", Some(0x3e8)),
            ("console=ttyS0 console=ttyS3", Some(0x2e8)),
            ("console=ttyS4", None),
            ("console=ttyS10", None),
            ("console=ttyS", None),
            ("console=tty0", None),
            ("console", None),
            ("console=uart8250,io,0x1000,9600", Some(0x1000)),
            ("console=uart,io,0x3f8", Some(0x3f8)),
            ("console=uart8250,mmio,0xfe000000", None),
            ("console=uart8250,io,0x10000", None),
            ("console=uart8250,io,0xfff9", None),
            ("console=uart8250,io,0x0", None),
            ("console=uart8250,io", None),
            ("earlycon=uart8250,io,0x2f8,115200", Some(0x2f8)),
            ("earlycon", None),
            ("earlycon=ttyS0", None),
            ("earlyprintk=serial", Some(0x3f8)),
            ("earlyprintk=serial,keep", Some(0x3f8)),
            ("earlyprintk=serial,ttyS1,115200", Some(0x2f8)),
            ("earlyprintk=serial,0xe000,115200", Some(0xe000)),
            ("earlyprintk=ttyS1,115200", Some(0x2f8)),
            ("earlyprintk=ttyS2", Some(0x3f8)),
            ("earlyprintk=vga", None),
            ("earlyprintk", None),
            ("xconsole=ttyS0", None),
            ("a=\"console=ttyS0\"", None),
            ("\"console=ttyS0\"", Some(0x3f8)),
            ("quiet -- console=ttyS0", None),
        ] {
            assert_eq!(console_port(line), port, "{line}");
        }
    }
}
