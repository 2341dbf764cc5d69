//! The calls to a busy kernel.

use super::script::script;
use super::*;

#[test]
fn lock_held_briefly_is_waited_for() {
    let mut kernel =
        script(|_, clock| if clock < Duration::from_secs(2) { Err(libc::EBUSY) } else { Ok(()) });
    assert!(patiently(&mut kernel, 1).is_ok());
    assert!(
        kernel.calls.len() < 15,
        "{} tries would use up kexec_load_limit_panic",
        kernel.calls.len()
    );
}

#[test]
fn lock_held_too_long_is_an_error() {
    let mut kernel = script(|_, _| Err(libc::EBUSY));
    let Err(Failure::Busy(busy)) = patiently(&mut kernel, 1) else {
        panic!("the lock stays taken")
    };
    assert_eq!(busy, Busy { waited: PATIENCE, tries: kernel.calls.len() as u32 });
    assert!(busy.to_string().contains("5 s"), "{busy}");
}
