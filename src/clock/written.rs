//! Instants as text, with as little work as possible.

use super::Timestamp;

impl Timestamp {
    /// How many characters [`written`](Self::written) has.
    pub(crate) const WRITTEN: usize = 24;

    /// `2026-01-14T18:00:00.000Z`, as it is displayed; `None` before 1970, which no clock shows.
    pub(crate) fn written(self) -> Option<[u8; Self::WRITTEN]> {
        let millis = u64::try_from(self.unix_millis()).ok()?;
        let (days, in_day) = ((millis / 86_400_000) as u32, (millis % 86_400_000) as u32);
        let (year, month, day) = civil(days);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (year, &[0, 1, 2, 3][..]),
            (month, &[5, 6]),
            (day, &[8, 9]),
            (in_day / 3_600_000, &[11, 12]),
            (in_day / 60_000 % 60, &[14, 15]),
            (in_day / 1_000 % 60, &[17, 18]),
            (in_day % 1_000, &[20, 21, 22]),
        ];
        for (mut part, places) in parts {
            for place in places.iter().rev() {
                text[*place] = b'0' + (part % 10) as u8;
                part /= 10;
            }
        }
        Some(text)
    }
}

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar. Years are counted from March, so
/// that the leap day is the last (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u32) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let (era, in_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year_of_era + era * 400 + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn instants_are_written_as_jiff_writes_them(millis in 0i64..=Timestamp::MAX.unix_millis()) {
            let written = Timestamp::from_unix_millis(millis).written().unwrap();
            let expected = format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap());
            prop_assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
        }
    }

    #[test]
    fn the_last_microsecond_of_a_millisecond_is_cut_off_and_the_time_before_1970_is_left_to_others() {
        let written = Timestamp::from_unix_micros(1_768_413_600_123_999).written();
        assert_eq!(written.as_ref(), Some(b"2026-01-14T18:00:00.123Z"));
        assert_eq!(Timestamp::from_unix_micros(-1).written(), None);
    }
}
