//! The program itself, run on the snapshot of a machine: what it prints, what it refuses, and how it says so.

mod fixture;
mod plan;
mod bad_input;
mod files;
mod surface;
mod command_line;
mod kexec;
mod kexec_passed_on;
mod service_processes;
mod foreign;
mod status;
mod documents;
