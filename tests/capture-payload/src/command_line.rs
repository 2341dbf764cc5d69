//! The capture kernel's command line.

use handoff::report::{FIELD_LEN, PARAMETER};

use crate::zero_page::ZeroPage;
use crate::{Physical, setup_header};

/// The end of the kernel's parameters (`parse_args`, kernel/params.c).
const END_OF_PARAMETERS: &[u8] = b" --";
/// The parameter with the elfcorehdr's address (kernel/elfcorehdr.c).
const ELFCOREHDR: &[u8] = b"elfcorehdr=";

/// The text without its NUL, which must be within the length that our setup header allows.
pub fn find<'m>(
    physical: &'m impl Physical,
    page: &ZeroPage<'m>,
) -> Result<&'m [u8], &'static str> {
    let bytes = physical.bytes(page.command_line(), u64::from(setup_header::CMDLINE_SIZE) + 1);
    let bytes = bytes.ok_or("memory in which no command line can be")?;
    let end = bytes.iter().position(|&byte| byte == 0).ok_or("a command line that nothing ends")?;
    Ok(&bytes[..end])
}

/// The address in `elfcorehdr=`, in the form that the loader writes.
pub fn elfcorehdr(line: &[u8]) -> Result<u64, &'static str> {
    let mut values =
        line.split(|&byte| byte == b' ').filter_map(|word| word.strip_prefix(ELFCOREHDR));
    let value = values.next().ok_or("no elfcorehdr=")?;
    if values.next().is_some() {
        return Err("more than one elfcorehdr=");
    }
    let digits = value.strip_prefix(b"0x").filter(|digits| (1..=16).contains(&digits.len()));
    let digits = digits.ok_or("an elfcorehdr= without hexadecimal digits")?;
    digits.iter().try_fold(0, |number: u64, &digit| {
        let value = (digit as char)
            .to_digit(16)
            .ok_or("an elfcorehdr= with a digit that is not hexadecimal")?;
        Ok(number << 4 | u64::from(value))
    })
}

/// The offset of the report's field.
pub fn report_at(line: &[u8]) -> Result<usize, &'static str> {
    let parameter = PARAMETER.as_bytes();
    let at = line
        .windows(parameter.len())
        .position(|window| window == parameter)
        .ok_or("no purgatory.report=")?;
    Ok(at + parameter.len())
}

/// The report's field, which must be the last of the kernel's parameters.
pub fn report_field(line: &[u8]) -> Result<&[u8; FIELD_LEN], &'static str> {
    let rest = &line[report_at(line)?..];
    let (field, after) = rest.split_first_chunk().ok_or("a purgatory.report= that is too short")?;
    let more_of_inits = after.starts_with(END_OF_PARAMETERS);
    if after.is_empty() || more_of_inits {
        Ok(field)
    } else {
        Err("something after purgatory.report=")
    }
}
