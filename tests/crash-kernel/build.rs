//! Passes the linker its script, and the address in it that the runner also knows.

fn main() {
    println!("cargo::rerun-if-changed=kernel.ld");
    // On the host it is a program that says where it runs.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let script = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("kernel.ld");
    println!("cargo::rustc-link-arg-bins=--defsym=KERNEL_TEXT={:#x}", orders::map::KERNEL_TEXT);
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    // After rustc's own -pie: the kernel runs where it is linked, as Linux without KASLR.
    println!("cargo::rustc-link-arg-bins=--no-pie");
}
