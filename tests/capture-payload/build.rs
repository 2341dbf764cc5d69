//! Passes the linker its script, and the sizes in it that Rust code also knows.

/// Bytes of stack: one SHA-256 above all, and an NMI on top of it; notes and headers are looked at
/// where they lie.
const STACK_SIZE: usize = 64 << 10;

fn main() {
    println!("cargo::rerun-if-changed=payload.ld");
    // On the host only the library is linked, and only into tests.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let script = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("payload.ld");
    println!("cargo::rustc-link-arg-bins=--defsym=STACK_SIZE={STACK_SIZE:#x}");
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    for argument in [
        "-pie",
        "--no-dynamic-linker",
        "--gc-sections",
        "-z",
        "norelro",
        "-z",
        "max-page-size=4096",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
