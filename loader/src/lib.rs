//! Builds a kdump image and arms it: `parse → place → describe → seal → bind → submit`.
//!
//! Everything up to `bind` is pure: bytes and a [`Machine`] in, an [`Image`] out. Only [`submit`] talks to the kernel, because a
//! kexec_load(2) that fails late has already destroyed the image that was armed before (`do_kexec_load`, kernel/kexec.c).

pub mod phys;
pub mod request;
pub mod machine;
pub mod kernel;
pub mod place;
pub mod cmdline;
pub mod bootparams;
pub mod elfcorehdr;
pub mod seal;
pub mod purgatory;
pub mod image;
pub mod submit;
