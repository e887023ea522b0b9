//! How busy the Wi-Fi channels are, estimated from a scan.
//!
//! A scan tells which networks are heard, not how much they send. The estimate for a channel is
//!
//! ```text
//! utilization = 100 % × (1 − ∏ (1 − ½ · w · o))      over all networks of the band, rounded to whole percent
//! w = (signal + 95 dBm) / 60 dB, from 0 to 1         weight of the signal: −95 dBm is noise, −35 dBm the same room
//! o = overlap of network and channel / width of the channel
//! ```
//!
//! so one network on the very channel, as strong as can be, takes half of the air, a second one half of what is left. A
//! channel is 20 MHz wide, in the 2.4 GHz band 22 MHz (the skirts of its neighbours' signals disturb there, and channels
//! stand 5 MHz apart). A network covers its width: in the 2.4 GHz band 22 or 42 MHz, the second half of 40 MHz above the
//! primary channel up to channel 7, below it from 8 on; in the 5 and 6 GHz bands the block of 40, 80, 160 or 320 MHz that
//! its channel lies in. A network without a signal strength counts as −70 dBm, one without a width as 20 MHz wide.
//!
//! Told of are in the 2.4 GHz band the channels 1, 6 and 11 and those on which a network was heard; in the 5 GHz band all
//! channels of 20 MHz; in the 6 GHz band the preferred scanning channels and those heard. Recommended is the quietest: in
//! the 2.4 GHz band of 1, 6 and 11; of equals in the 5 GHz band one that need not make way for radar, otherwise the lowest.

use std::collections::BTreeMap;
use std::fmt;

/// A frequency band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// 2.4 GHz.
    Ghz2,
    /// 5 GHz.
    Ghz5,
    /// 6 GHz.
    Ghz6,
}

/// How wide a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 20 MHz; also what is not said or `Auto`.
    Mhz20,
    /// 40 MHz.
    Mhz40,
    /// 80 MHz.
    Mhz80,
    /// 160 MHz, or twice 80 MHz.
    Mhz160,
    /// 320 MHz.
    Mhz320,
}

/// A network that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbor {
    /// Its band.
    pub band: Band,
    /// Its primary channel.
    pub channel: u32,
    /// Its width.
    pub width: Width,
    /// Strength of its signal.
    pub signal_dbm: Option<i64>,
}

/// Of the 2.4 GHz band, those that do not overlap.
const APART: [u32; 3] = [1, 6, 11];
/// Of the 5 GHz band, those where no radar has to be looked out for.
const WITHOUT_RADAR: [u32; 9] = [36, 40, 44, 48, 149, 153, 157, 161, 165];
/// The first channels of the parts of the 5 GHz band, and how many of 20 MHz each has.
const PARTS: [(u32, u32); 3] = [(36, 8), (100, 12), (149, 8)];
/// How much of the air one strong network on the channel takes.
const SHARE: f64 = 0.5;
/// Of a network that does not say how strong it is.
const USUAL_DBM: i64 = -70;

impl Band {
    /// Reads `2.4GHz`, `2.4 GHz`, `2.4G`, `5ghz`, ...
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let word: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        match word.strip_suffix("ghz").or_else(|| word.strip_suffix('g')).unwrap_or(&word) {
            "2.4" | "2" => Some(Self::Ghz2),
            "5" => Some(Self::Ghz5),
            "6" => Some(Self::Ghz6),
            _ => None,
        }
    }

    /// The band of a channel, where the network does not say: a number of the 6 GHz band is taken for one of the others.
    #[must_use]
    pub const fn of_channel(channel: u32) -> Option<Self> {
        match channel {
            1..=14 => Some(Self::Ghz2),
            32..=196 => Some(Self::Ghz5),
            _ => None,
        }
    }

    /// `2.4GHz`, as TR-181 has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ghz2 => "2.4GHz",
            Self::Ghz5 => "5GHz",
            Self::Ghz6 => "6GHz",
        }
    }

    /// The middle of a channel in MHz.
    const fn middle(self, channel: u32) -> u32 {
        match (self, channel) {
            (Self::Ghz2, 14) => 2484,
            (Self::Ghz2, _) => 2407 + 5 * channel,
            (Self::Ghz5, _) => 5000 + 5 * channel,
            (Self::Ghz6, _) => 5950 + 5 * channel,
        }
    }

    /// The channels that are told of at any rate.
    fn channels(self) -> Vec<u32> {
        let part = |(first, count): (u32, u32)| (0..count).map(move |at| first + 4 * at);
        match self {
            Self::Ghz2 => APART.to_vec(),
            Self::Ghz5 => PARTS.into_iter().flat_map(part).filter(|channel| *channel <= 165).collect(),
            // The preferred scanning channels.
            Self::Ghz6 => (0..15).map(|at| 5 + 16 * at).collect(),
        }
    }

    /// What a channel reaches over, in MHz.
    fn span(self, channel: u32) -> (u32, u32) {
        let (middle, half) = (self.middle(channel), if self == Self::Ghz2 { 11 } else { 10 });
        (middle - half, middle + half)
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Width {
    /// Reads `80MHz`, `80`, `80+80MHz`, `320MHz-1`, `Auto`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
        match digits.as_str() {
            "40" => Self::Mhz40,
            "80" if text.contains('+') => Self::Mhz160,
            "80" => Self::Mhz80,
            "160" => Self::Mhz160,
            "320" => Self::Mhz320,
            _ => Self::Mhz20,
        }
    }

    /// In channels of 20 MHz.
    const fn channels(self) -> u32 {
        match self {
            Self::Mhz20 => 1,
            Self::Mhz40 => 2,
            Self::Mhz80 => 4,
            Self::Mhz160 => 8,
            Self::Mhz320 => 16,
        }
    }
}

impl Neighbor {
    /// What the network reaches over, in MHz.
    fn span(&self) -> (u32, u32) {
        let (low, high) = self.band.span(self.channel);
        let wide = self.width.channels();
        match self.band {
            Band::Ghz2 if wide < 2 => (low, high),
            Band::Ghz2 if self.channel <= 7 => (low, high + 20),
            Band::Ghz2 => (low - 20, high),
            Band::Ghz5 => {
                let part = PARTS.into_iter().rev().find(|(first, _)| *first <= self.channel);
                self.block(part.map_or(self.channel, |(first, _)| first))
            }
            Band::Ghz6 => self.block(1),
        }
    }

    /// The block that the network's channel lies in; blocks are counted from the channel `first`.
    fn block(&self, first: u32) -> (u32, u32) {
        let wide = self.width.channels();
        let at = self.channel.saturating_sub(first) / 4 / wide * wide;
        let (low, _) = self.band.span(first + 4 * at);
        (low, low + 20 * wide)
    }

    /// From 0 to 1.
    fn weight(&self) -> f64 {
        let above_noise = self.signal_dbm.unwrap_or(USUAL_DBM).clamp(-95, -35) + 95;
        f64::from(i32::try_from(above_noise).unwrap_or(0)) / 60.0
    }

    /// How much of a channel the network covers, from 0 to 1.
    fn overlap(&self, channel: u32) -> f64 {
        let ((low, high), (from, to)) = (self.span(), self.band.span(channel));
        f64::from(high.min(to).saturating_sub(low.max(from))) / f64::from(to - from)
    }
}

/// How busy each channel of a band is, in percent.
#[must_use]
pub fn utilization(band: Band, neighbors: &[Neighbor]) -> BTreeMap<u32, u32> {
    let heard = || neighbors.iter().filter(|neighbor| neighbor.band == band && (1..=253).contains(&neighbor.channel));
    let channels = band.channels().into_iter().chain(heard().map(|neighbor| neighbor.channel));
    let share = |channel: u32| {
        let free = heard().fold(1.0, |free, one| free * (1.0 - SHARE * one.weight() * one.overlap(channel)));
        percent(1.0 - free)
    };
    channels.map(|channel| (channel, share(channel))).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
fn percent(share: f64) -> u32 {
    (share * 100.0).round().clamp(0.0, 100.0) as u32
}

/// The channel of a band to use.
#[must_use]
pub fn recommend(band: Band, utilization: &BTreeMap<u32, u32>) -> u32 {
    let rank = |channel: &u32| {
        let share = utilization.get(channel).copied().unwrap_or(0);
        let has_radar = band == Band::Ghz5 && !WITHOUT_RADAR.contains(channel);
        (share, has_radar, *channel)
    };
    band.channels().into_iter().min_by_key(rank).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(band: Band, channel: u32, width: Width, dbm: i64) -> Neighbor {
        Neighbor { band, channel, width, signal_dbm: Some(dbm) }
    }

    fn low(channel: u32, dbm: i64) -> Neighbor {
        one(Band::Ghz2, channel, Width::Mhz20, dbm)
    }

    #[test]
    fn strength_is_the_weight() {
        let table = [
            // w = 1: half of the air.
            (vec![-35], 50),
            (vec![-20], 50),
            // w = 30/60: a quarter.
            (vec![-65], 25),
            (vec![-95], 0),
            (vec![-110], 0),
            // 1 − ½ · ½ = ¾.
            (vec![-35, -35], 75),
            // 1 − ½ · ¾ · ¾ = 0.71875.
            (vec![-35, -65, -65], 72),
        ];
        for (signals, want) in table {
            let neighbors: Vec<_> = signals.iter().map(|dbm| low(6, *dbm)).collect();
            assert_eq!(utilization(Band::Ghz2, &neighbors).get(&6), Some(&want), "{signals:?}");
        }
    }

    #[test]
    fn channels_of_the_lower_band_overlap() {
        // Channel 3 reaches from 2411 to 2433 MHz, 1 from 2401 to 2423, 6 from 2426 to 2448: 12/22 and 7/22 of them.
        let three = utilization(Band::Ghz2, &[low(3, -35)]);
        assert_eq!(three, BTreeMap::from([(1, 27), (3, 50), (6, 16), (11, 0)]));
        assert_eq!(recommend(Band::Ghz2, &three), 11);
        // 40 MHz on channel 1 reach from 2401 to 2443 MHz: all of 1, 17/22 of 6.
        let wide = utilization(Band::Ghz2, &[one(Band::Ghz2, 1, Width::Mhz40, -35)]);
        assert_eq!(wide, BTreeMap::from([(1, 50), (6, 39), (11, 0)]));
        // On channel 11 they reach down to 2431 MHz: 17/22 of 6.
        let down = utilization(Band::Ghz2, &[one(Band::Ghz2, 11, Width::Mhz40, -35)]);
        assert_eq!(down, BTreeMap::from([(1, 0), (6, 39), (11, 50)]));
        assert_eq!(recommend(Band::Ghz2, &down), 1);
    }

    #[test]
    fn the_quietest_channel_is_recommended() {
        let neighbors = [low(1, -65), low(6, -50), low(6, -60), low(11, -55)];
        let used = utilization(Band::Ghz2, &neighbors);
        // 6: 1 − (1 − 0.375) · (1 − 35/120) = 0.5573; 11: 40/120.
        assert_eq!(used, BTreeMap::from([(1, 25), (6, 56), (11, 33)]));
        assert_eq!(recommend(Band::Ghz2, &used), 1);
    }

    #[test]
    fn wide_networks_of_the_upper_band_fill_their_block() {
        let busy = |channel, width| -> Vec<u32> {
            let used = utilization(Band::Ghz5, &[one(Band::Ghz5, channel, width, -35)]);
            used.into_iter().filter(|(_, share)| *share > 0).map(|(channel, _)| channel).collect()
        };
        let table = [
            (44, Width::Mhz20, vec![44]),
            (44, Width::Mhz40, vec![44, 48]),
            (48, Width::Mhz40, vec![44, 48]),
            (44, Width::Mhz80, vec![36, 40, 44, 48]),
            (60, Width::Mhz80, vec![52, 56, 60, 64]),
            (108, Width::Mhz160, vec![100, 104, 108, 112, 116, 120, 124, 128]),
            (157, Width::Mhz80, vec![149, 153, 157, 161]),
        ];
        for (channel, width, want) in table {
            assert_eq!(busy(channel, width), want, "{channel} {width:?}");
        }
        let used = utilization(Band::Ghz5, &[one(Band::Ghz5, 36, Width::Mhz80, -35)]);
        assert_eq!((used.len(), recommend(Band::Ghz5, &used)), (25, 149));
        // Everything without radar is in use.
        let all = [36, 149].map(|channel| one(Band::Ghz5, channel, Width::Mhz80, -65));
        let last = one(Band::Ghz5, 165, Width::Mhz20, -65);
        assert_eq!(recommend(Band::Ghz5, &utilization(Band::Ghz5, &[all[0], all[1], last])), 52);
    }

    #[test]
    fn odd_channels_do_no_harm() {
        let odd = [
            low(0, -35),
            low(14, -35),
            one(Band::Ghz5, 7, Width::Mhz80, -35),
            one(Band::Ghz6, u32::MAX, Width::Mhz20, -35),
        ];
        for band in [Band::Ghz2, Band::Ghz5, Band::Ghz6] {
            assert!(!utilization(band, &odd).is_empty());
        }
    }

    #[test]
    fn widths_and_bands_are_read_leniently() {
        for (text, want) in [
            ("20MHz", Width::Mhz20),
            ("80+80MHz", Width::Mhz160),
            ("320MHz-2", Width::Mhz320),
            ("Auto", Width::Mhz20),
            ("40", Width::Mhz40),
        ] {
            assert_eq!(Width::parse(text), want, "{text}");
        }
        for (text, want) in [
            ("2.4GHz", Some(Band::Ghz2)),
            ("2.4 ghz", Some(Band::Ghz2)),
            ("5G", Some(Band::Ghz5)),
            ("all", None),
            ("", None),
        ] {
            assert_eq!(Band::parse(text), want, "{text}");
        }
    }
}
