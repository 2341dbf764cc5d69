//! Passes the linker scripts to the linker, with the size of the block from the contract and the
//! sizes of the stacks.

use std::path::Path;

/// Each program and the layout of its image, in `linker/`.
const PROGRAMS: [(&str, &str); 3] = [
    ("purgatory", "purgatory.ld"),
    ("purgatory-linux", "drop-in.ld"),
    ("purgatory-kexec-tools", "drop-in.ld"),
];
/// Bytes of stack for a program's story.
const STACK_SIZE: usize = 19 << 8;
/// Bytes of stack for an exception. The other stack's guard follows it, in the last bytes of a
/// page: the deepest frame must not be in the guard's page.
const TRAP_STACK_SIZE: usize = 11 << 6;

fn main() {
    // On the host only tests are linked.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("purgatory") {
        return;
    }
    let scripts =
        Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../linker");
    for (program, script) in PROGRAMS {
        println!("cargo::rerun-if-changed=../linker/{script}");
        println!("cargo::rustc-link-arg-bin={program}=-T{}", scripts.join(script).display());
    }
    let sizes = [
        ("HANDOFF_SIZE", size_of::<handoff::Block>()),
        ("STACK_SIZE", STACK_SIZE),
        ("TRAP_STACK_SIZE", TRAP_STACK_SIZE),
    ];
    for (name, bytes) in sizes {
        println!("cargo::rustc-link-arg-bins=--defsym={name}={bytes:#x}");
    }
    for argument in
        ["-pie", "--no-dynamic-linker", "--gc-sections", "-z", "norelro", "-z", "max-page-size=64"]
    {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
