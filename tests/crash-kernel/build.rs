//! Passes the linker its script, and the addresses in it that the runner also knows.

use orders::map;

fn main() {
    println!("cargo::rerun-if-changed=kernel.ld");
    // On the host it is a program that says where it runs.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let script = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("kernel.ld");
    for (name, address) in [("KERNEL_TEXT", map::KERNEL_TEXT), ("KERNEL_MAP", map::KERNEL_MAP)] {
        println!("cargo::rustc-link-arg-bins=--defsym={name}={address:#x}");
    }
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    // After rustc's own -pie: the kernel runs where it is linked, as Linux without KASLR.
    println!("cargo::rustc-link-arg-bins=--no-pie");
}
