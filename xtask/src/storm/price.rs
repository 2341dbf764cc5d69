//! What one load in place costs: nothing is armed from the beginning of kexec_load(2), where the kernel drops the old image, to its end.
//!
//! The call copies the image, so its time is compared by the MiB; who unloads first has everything between the two calls to bear as well.

use std::fmt;

use qemu_runner::storm::Measured;

use super::model::groups;

const MIB: f64 = (1 << 20) as f64;

/// Writes a table: a line for each kernel and contestant.
pub fn write(measured: &[Measured], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        out,
        "\n## What a load costs\n\nThe kernel drops the old image at the beginning of kexec_load(2) and has the new one at its end. The first \
         figures are of the loads that armed, with nothing else going on in the guest: the median of as many as there were storms. The emulated machine \
         touches that memory for the first time then, which takes several times what a load in place does: `cargo xtask qemu peer-load-time` \
         measures that. The last are of the reloads during the storms: in the system call, and with nothing armed.\n"
    )?;
    writeln!(
        out,
        "| kernel | contestant | copied, MiB | kexec_load(2), ms | per MiB | storms: kexec_load(2) per reload, ms | nothing armed per reload, ms |"
    )?;
    writeln!(out, "| --- | --- | ---: | ---: | ---: | ---: | ---: |")?;
    for (series, contestant) in groups(measured) {
        let storms = || measured.iter().filter(|storm| storm.series == series && storm.contestant == contestant);
        let (mib, ms) =
            (median(storms().map(|storm| storm.image_bytes as f64 / MIB)), median(storms().map(|storm| storm.arming_s * 1e3)));
        let reloads: u64 = storms().map(|storm| storm.reloads).sum();
        let per_reload = |of: fn(&Measured) -> f64| match reloads {
            0 => "-".to_owned(),
            count => format!("{:.0}", storms().map(of).sum::<f64>() * 1e3 / count as f64),
        };
        let [calls, unprotected] = [per_reload(|storm| storm.reloading_s), per_reload(|storm| storm.unprotected_s)];
        writeln!(out, "| {series} | {contestant} | {mib:.1} | {ms:.0} | {:.2} | {calls} | {unprotected} |", ms / mib)?;
    }
    Ok(())
}

/// The middle one, or the mean of the middle two; NaN of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count => f64::midpoint(values[(count - 1) / 2], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::storm;
    use super::*;
    use qemu_runner::storm::Contestant;

    struct Text(Vec<Measured>);

    impl fmt::Display for Text {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(&self.0, out)
        }
    }

    #[test]
    fn line_has_the_median_load_and_the_average_reload() {
        let who = Contestant::ReloadInPlace;
        let slow = Measured { arming_s: 0.3, ..storm(who, "6.1", 8) };
        let text = Text(vec![slow, storm(who, "6.1", 8), storm(who, "6.1", 32)]).to_string();
        assert!(text.contains("| 6.1 | reload-in-place | 16.0 | 100 | 6.25 | 200 | 500 |"), "{text}");
    }

    #[test]
    fn storms_without_a_reload_have_no_price_of_one() {
        let text = Text(vec![Measured { reloads: 0, ..storm(Contestant::InKernel, "6.12", 8) }]).to_string();
        assert!(text.contains("| 100 | 6.25 | - | - |"), "{text}");
    }

    #[test]
    fn median_is_in_the_middle() {
        assert_eq!([median([3.0, 1.0, 9.0].into_iter()), median([4.0, 2.0].into_iter())], [3.0, 3.0]);
        assert!(median(std::iter::empty()).is_nan());
    }
}
