//! What every build needs besides cargo: a C linker, and two components of the toolchain.

pub mod linker;
pub mod llvm_tools;
pub mod rust_src;
