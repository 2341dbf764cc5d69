//! Hands the linker its script and the sizes in it: of the block, as the contract defines it, and of the stacks.

/// Bytes of stack for the story in `main.rs`.
const STACK_SIZE: usize = 6 << 10;
/// Bytes of stack for an exception, which never returns.
const TRAP_STACK_SIZE: usize = 2 << 10;

fn main() {
    println!("cargo::rerun-if-changed=../linker/purgatory.ld");
    // On the host only the library is linked, and only into tests.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("purgatory") {
        return;
    }
    let script =
        std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../linker/purgatory.ld");
    let sizes = [("HANDOFF_SIZE", size_of::<handoff::Block>()), ("STACK_SIZE", STACK_SIZE), ("TRAP_STACK_SIZE", TRAP_STACK_SIZE)];
    for (name, bytes) in sizes {
        println!("cargo::rustc-link-arg-bins=--defsym={name}={bytes:#x}");
    }
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    for argument in ["-pie", "--no-dynamic-linker", "--gc-sections", "-z", "norelro", "-z", "max-page-size=64"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
