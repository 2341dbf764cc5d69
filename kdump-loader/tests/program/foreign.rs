//! Foreign purgatories on the command line.

use loader::image::Summary;
use loader::purgatory::foreign::{Contract, KEXEC_TOOLS, LINUX};

use crate::fixture::relocatable::{Object, object};
use crate::fixture::{Fixture, NONE, Run, assert_says, program, run};

/// The smallest purgatory of this contract.
fn smallest(contract: &'static Contract) -> Object {
    object().with_written(contract.written.iter().map(|written| (written.symbol, written.len)))
}

/// A working fixture with such a purgatory.
fn fixture(contract: &'static Contract) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("purgatory.elf", &smallest(contract).bytes());
    fixture
}

fn summary(fixture: &Fixture, arguments: &[&str]) -> (Summary, String) {
    let Run { code, stdout, stderr } = fixture.plan(arguments.iter().chain(&["--json"]));
    assert_eq!(code, Some(0), "{stderr}");
    (serde_json::from_str(&stdout).unwrap(), stderr)
}

#[test]
fn plan_shows_whose_purgatory_it_is_and_what_it_verifies() {
    for (contract, console) in [(&LINUX, None), (&KEXEC_TOOLS, Some(0x3f8))] {
        let fixture = fixture(contract);
        let flags = ["--append", "console=ttyS0 acpi_no_memhotplug"];
        let (summary, said) = summary(&fixture, &flags);
        assert_eq!((summary.purgatory.as_str(), summary.console_port), (contract.name, console));
        let names: Vec<_> = summary.regions.iter().map(|region| region.name.as_str()).collect();
        assert_eq!(names, ["kernel", "initrd", "boot-params", "command-line"]);
        for region in &summary.regions {
            let segment =
                summary.segments.iter().find(|segment| segment.name == region.name).unwrap();
            assert_eq!(
                (region.start, region.len, region.file_len),
                (segment.start, segment.len, segment.len),
                "{}",
                region.name
            );
        }
        assert_eq!(summary.command_line, "console=ttyS0 acpi_no_memhotplug elfcorehdr=0x2f000000");
        assert_says(&said, &["kdump-loader: warning: a purgatory like ", contract.whose, " hangs"]);
        assert_eq!(said.contains("without a message"), console.is_none(), "{said}");

        let table = fixture.plan(flags).stdout;
        assert_eq!(table, summary.to_string());
        assert_says(
            &table,
            &[
                contract.name,
                "kernel, initrd, boot-params, command-line",
                "if corrupt     as the purgatory was built",
            ],
        );
    }
}

#[test]
fn elfcorehdr_is_verified_if_the_kernel_does_not_update_it() {
    for contract in [&LINUX, &KEXEC_TOOLS] {
        let (summary, _) = summary(&fixture(contract), &["--no-hotplug"]);
        assert_eq!(summary.regions[0].name, "elfcorehdr", "{}", contract.name);
        assert_eq!(summary.regions.len(), 5, "{}", contract.name);
    }
}

#[test]
fn json_lacks_keys_of_the_handoff_block() {
    let plan = fixture(&LINUX).plan(["--json"]).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let keys: Vec<_> = plan.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "command_line confidential console_port crash_region dropped entry identity \
                    purgatory regions segments version";
    let mut keys = keys;
    keys.sort_unstable();
    assert_eq!(keys.join(" "), expected);
}

#[test]
fn unsupported_options_are_rejected_by_name() {
    for contract in [&LINUX, &KEXEC_TOOLS] {
        let fixture = fixture(contract);
        let options = "--on-corrupt reset,--on-corrupt boot,--reset-delay 10,--engine \
                       soft,--engine sha-ni,--leaf-size 256K,--signal ipmi";
        for option in options.split(',') {
            let arguments: Vec<_> = option.split(' ').collect();
            let message = fixture.refusal(&arguments);
            assert_says(&message, &[arguments[0], contract.whose, "leave --purgatory out"]);
        }
        assert_eq!(fixture.plan(["--engine", "auto"]).code, Some(0), "the default is supported");
    }
    let message = fixture(&LINUX).refusal(["--console", "ttyS0"]);
    assert_says(&message, &["the kernel's purgatory does not support console 0x3f8"]);
    assert_eq!(fixture(&LINUX).plan(["--console", "none"]).code, Some(0));
}

#[test]
fn object_that_is_not_a_purgatory_is_rejected_with_what_it_lacks() {
    let fixture = Fixture::new();
    fixture.write("purgatory.elf", &object().bytes());
    let tables = ["purgatory.elf", "purgatory_sha_regions", "sha256_regions"];
    assert_says(&fixture.refusal(NONE), &tables);

    let both = smallest(&LINUX).with_written([("sha256_regions", 256)]);
    fixture.write("purgatory.elf", &both.bytes());
    assert_says(&fixture.refusal(NONE), &tables);

    let mut short = smallest(&KEXEC_TOOLS);
    short.symbols.iter_mut().find(|symbol| symbol.name == "entry64_regs").unwrap().len = 128;
    fixture.write("purgatory.elf", &short.bytes());
    assert_says(&fixture.refusal(NONE), &["purgatory.elf", "entry64_regs", "128 bytes, not 136"]);

    fixture.write("purgatory.elf", &smallest(&LINUX).bytes()[..500]);
    assert_says(&fixture.refusal(NONE), &["purgatory.elf", "damaged"]);
}

#[test]
fn purgatory_for_low_memory_is_rejected_above_it_with_a_remedy() {
    use object::elf::R_X86_64_32S;
    let fixture = Fixture::new();
    fixture.write("purgatory.elf", &smallest(&LINUX).relocated(16, R_X86_64_32S, 2, 0).bytes());
    assert_eq!(fixture.plan(NONE).code, Some(0), "below 2 GiB it runs");
    fixture.edit_snapshot(
        "proc/iomem",
        "140000000-147ffffff : System RAM (virtio_mem)",
        "140000000-14fffffff : System RAM\n  140000000-14bffffff : Crash kernel",
    );
    let message = fixture.refusal(NONE);
    assert_says(
        &message,
        &[
            "purgatory.elf",
            "R_X86_64_32S",
            "below 2 GiB",
            "crashkernel=SIZE@OFFSET",
            "runs anywhere",
        ],
    );
}

#[test]
fn purgatory_whose_text_begins_with_elf_magic_is_rejected() {
    let fixture = Fixture::new();
    let mut object = smallest(&KEXEC_TOOLS);
    object.parts[0].bytes[..4].copy_from_slice(b"\x7fELF");
    fixture.write("purgatory.elf", &object.bytes());
    assert_says(&fixture.refusal(NONE), &["segment purgatory", "ELF magic"]);
}

#[test]
fn inspect_describes_a_foreign_purgatory() {
    for (contract, prints) in [(&LINUX, false), (&KEXEC_TOOLS, true)] {
        let fixture = fixture(contract);
        let inspected =
            run(program().arg("inspect").arg(fixture.path("purgatory.elf")).arg("--json"));
        let json: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
        assert_eq!(
            (&json["format"], &json["contract"]),
            (&"foreign-purgatory".into(), &contract.name.into())
        );
        assert_eq!(
            (&json["prints"], &json["limit"], &json["entry_offset"]),
            (&prints.into(), &().into(), &8.into())
        );
        let words = run(program().arg("inspect").arg(fixture.path("purgatory.elf"))).stdout;
        assert_says(&words, &[contract.whose, "16 regions", "runs           anywhere"]);
    }
    use object::elf::R_X86_64_32;
    let fixture = Fixture::new();
    fixture.write("purgatory.elf", &smallest(&LINUX).relocated(16, R_X86_64_32, 2, 0).bytes());
    let words = run(program().arg("inspect").arg(fixture.path("purgatory.elf"))).stdout;
    assert_says(&words, &["runs           below 4 GiB only"]);
}
