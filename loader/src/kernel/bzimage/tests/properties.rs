//! Setup headers with any value in any field. Each is read correctly, or rejected by the name of a
//! wrong field.

use proptest::option::weighted;
use proptest::prelude::*;

use super::*;

/// A file, field by field.
#[derive(Clone, Debug)]
struct Parts {
    setup_sects: u8,
    syssize: u32,
    boot_flag: u16,
    jump_operand: u8,
    version: u16,
    loadflags: u8,
    kernel_alignment: u32,
    relocatable_kernel: u8,
    xloadflags: u16,
    cmdline_size: u32,
    pref_address: u64,
    init_size: u32,
    /// Bytes after the setup code.
    payload: usize,
}

/// Mostly the values of a real kernel, sometimes any value.
fn mostly<T>(usual: impl Strategy<Value = T> + 'static) -> impl Strategy<Value = T>
where
    T: Arbitrary + Clone + std::fmt::Debug + 'static,
{
    prop_oneof![19 => usual, 1 => any::<T>()]
}

fn parts() -> impl Strategy<Value = Parts> {
    let sizes =
        (mostly(0..6u8), 0x201..0x900usize, weighted(0.1, any::<u32>()), weighted(0.1, -2..3i32));
    let must_be = (
        mostly(Just(BOOT_FLAG_VALUE)),
        mostly(0x62..=0x8eu8),
        mostly(0x020c..0x0212u16),
        mostly(any::<u8>().prop_map(|f| f | 1)),
    );
    let place = (
        mostly((12..32u32).prop_map(|bit| 1 << bit)),
        mostly(Just(1u8)),
        mostly(any::<u16>().prop_map(|f| f | 3)),
    );
    (sizes, must_be, place, any::<u32>(), any::<u64>()).prop_map(
        |(sizes, must_be, place, cmdline_size, pref_address)| {
            let (setup_sects, payload, any_syssize, just_enough) = sizes;
            let (boot_flag, jump_operand, version, loadflags) = must_be;
            let (kernel_alignment, relocatable_kernel, xloadflags) = place;
            Parts {
                setup_sects,
                // The rest is a signature.
                syssize: any_syssize.unwrap_or(payload as u32 / 16),
                boot_flag,
                jump_operand,
                version,
                loadflags,
                kernel_alignment,
                relocatable_kernel,
                xloadflags,
                cmdline_size,
                pref_address,
                init_size: (payload as u32).saturating_add_signed(just_enough.unwrap_or(0x10_0000)),
                payload,
            }
        },
    )
}

impl Parts {
    fn payload_at(&self) -> usize {
        // boot.rst, "setup_sects": 0 means 4, and the boot sector itself is not counted.
        (if self.setup_sects == 0 { 5 } else { usize::from(self.setup_sects) + 1 }) * 512
    }

    /// The file, at the offsets of boot.rst.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x11; self.payload_at().max(0x290)];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0x1f1, &[self.setup_sects]);
        put(0x1f4, &self.syssize.to_le_bytes());
        put(0x1fe, &self.boot_flag.to_le_bytes());
        put(0x200, &[0xeb, self.jump_operand]);
        put(0x202, b"HdrS");
        put(0x206, &self.version.to_le_bytes());
        put(0x211, &[self.loadflags]);
        put(0x230, &self.kernel_alignment.to_le_bytes());
        put(0x234, &[self.relocatable_kernel]);
        put(0x236, &self.xloadflags.to_le_bytes());
        put(0x238, &self.cmdline_size.to_le_bytes());
        put(0x258, &self.pref_address.to_le_bytes());
        put(0x260, &self.init_size.to_le_bytes());
        bytes.resize(self.payload_at() + self.payload, 0xcc);
        bytes
    }

    /// The words that a message about each wrong field must have.
    fn wrong(&self) -> Vec<&'static str> {
        let (in_file, payload) = (self.payload as u64, u64::from(self.syssize) * 16);
        [
            ("boot_flag", self.boot_flag == 0xaa55),
            ("boot protocol", self.version >= 0x020c),
            ("loadflags", self.loadflags & 1 != 0),
            ("kernel_alignment", self.kernel_alignment.is_power_of_two()),
            ("XLF_KERNEL_64", self.xloadflags & 1 != 0),
            ("relocatable_kernel", self.relocatable_kernel != 0),
            ("XLF_CAN_BE_LOADED_ABOVE_4G", self.xloadflags & 2 != 0),
            ("its setup header ends", (0x62..=0x8e).contains(&self.jump_operand)),
            ("the payload ends at", self.syssize != 0 && payload <= in_file),
            ("64-bit entry point", payload > 0x200),
            ("init_size", u64::from(self.init_size) >= payload),
        ]
        .into_iter()
        .filter_map(|(words, right)| (!right).then_some(words))
        .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn header_is_read_or_refused_by_the_name_of_a_wrong_field(parts in parts()) {
        let file = InputFile { path: "vmlinuz".into(), bytes: parts.bytes() };
        let wrong = parts.wrong();
        match kernel::parse(&file) {
            Ok(kernel) => {
                prop_assert!(wrong.is_empty(), "taken although this is wrong: {:?}", wrong);
                let payload_end = parts.payload_at() + parts.syssize as usize * 16;
                let expected = CaptureKernel {
                    file: &file.bytes[..payload_end],
                    setup_header: (&file.bytes[0x1f1..0x202 + usize::from(parts.jump_operand)])
                        .into(),
                    payload: (&file.bytes[parts.payload_at()..payload_end]).into(),
                    init_size: parts.init_size.into(),
                    alignment: parts.kernel_alignment.into(),
                    pref_address: parts.pref_address,
                    cmdline_size: parts.cmdline_size,
                    version: parts.version,
                    xloadflags: parts.xloadflags,
                    entry_offset: 0x200,
                };
                prop_assert_eq!(kernel, expected);
            }
            Err(error) => {
                let message = error.defect.to_string();
                prop_assert!(
                    wrong.iter().any(|words| message.contains(words)),
                    "{} instead of {:?}",
                    message,
                    wrong
                );
            }
        }
    }
}

#[test]
fn tried_headers_are_often_read_and_often_refused() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let right = (0..1000)
        .filter(|_| parts().new_tree(&mut runner).unwrap().current().wrong().is_empty())
        .count();
    assert!((200..800).contains(&right), "{right} of 1000 are right");
}
