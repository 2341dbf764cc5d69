//! Runs the program on the snapshot of a machine, and checks its output and errors.

mod fixture;
mod plan;
mod bad_input;
mod files;
mod surface;
mod command_line;
mod kexec;
mod kexec_passed_on;
mod service;
mod service_processes;
mod foreign;
mod status;
mod last;
mod documents;
