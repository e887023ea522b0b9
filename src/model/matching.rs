//! Which type an unknown device is of: the match rules of the types, and when two of them contradict each other.

use std::cmp::Ordering;

use super::device::DeviceTypeId;
use super::device_type::{DeviceType, Pattern, TypeMatch};

/// What the match rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits<'d> {
    /// `DeviceId.OUI`.
    pub oui: &'d str,
    /// `DeviceId.ProductClass`; may be empty.
    pub product_class: &'d str,
    /// `DeviceInfo.ModelName`; `None` while it is not known.
    pub model_name: Option<&'d str>,
    /// `DeviceInfo.SoftwareVersion`; `None` while it is not known.
    pub software_version: Option<&'d str>,
}

impl Pattern {
    /// Whether the whole text fits.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut text) = (self.0.chars(), text.chars());
        // Where to go on when what follows the last star does not fit: one character further into the text.
        let mut retry = None;
        loop {
            let rest = text.clone();
            match (pattern.next(), text.next()) {
                (Some('*'), _) => {
                    retry = Some((pattern.clone(), rest.clone()));
                    text = rest;
                }
                (Some(expected), Some(found)) if same_letter(expected, found) => {}
                (None, None) => return true,
                (Some(_) | None, Some(_)) => {
                    let Some((after_star, from)) = &mut retry else { return false };
                    from.next();
                    (pattern, text) = (after_star.clone(), from.clone());
                }
                (Some(_), None) => return false,
            }
        }
    }

    /// Whether some text fits both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let other: Vec<char> = other.0.chars().collect();
        // `reachable[j]`: some text fits all of this pattern so far and the first `j` characters of the other one.
        let mut reachable = vec![false; other.len() + 1];
        if let Some(start) = reachable.first_mut() {
            *start = true;
        }
        pass_stars(&mut reachable, &other);
        for letter in self.0.chars() {
            let mut next = vec![false; reachable.len()];
            if letter == '*' {
                // It takes whatever the other one asks for next, or nothing.
                let mut open = false;
                for (now, before) in next.iter_mut().zip(&reachable) {
                    open |= *before;
                    *now = open;
                }
            } else {
                for (at, asked) in other.iter().enumerate() {
                    let here = reachable.get(at).copied().unwrap_or(false);
                    if !here {
                        continue;
                    }
                    // A star of the other one takes the letter and stays; a literal takes it and is done.
                    let to = if *asked == '*' { at } else { at + 1 };
                    if (*asked == '*' || same_letter(*asked, letter))
                        && let Some(place) = next.get_mut(to)
                    {
                        *place = true;
                    }
                }
            }
            pass_stars(&mut next, &other);
            reachable = next;
        }
        reachable.last().copied().unwrap_or(false)
    }

    fn literal_chars(&self) -> usize {
        self.0.chars().filter(|letter| *letter != '*').count()
    }
}

/// A star may stand for nothing.
fn pass_stars(reachable: &mut [bool], pattern: &[char]) {
    let mut open = false;
    for (at, place) in reachable.iter_mut().enumerate() {
        let over_a_star = at.checked_sub(1).and_then(|before| pattern.get(before)) == Some(&'*');
        *place |= open && over_a_star;
        open = *place;
    }
}

fn same_letter(one: char, other: char) -> bool {
    one == other || one.to_lowercase().eq(other.to_lowercase())
}

/// How narrow a rule is: first by how many of its fields are constrained, then by how many characters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity {
    fields: usize,
    literal_chars: usize,
}

impl TypeMatch {
    /// Whether a device is of this type by itself.
    #[must_use]
    pub fn matches(&self, traits: &Traits<'_>) -> bool {
        self.fits(traits) && fits(self.model_name.as_ref(), traits.model_name)
    }

    /// As [`matches`](Self::matches), whatever the model name is.
    fn fits(&self, traits: &Traits<'_>) -> bool {
        self.patterns().any(|pattern| pattern.is_some())
            && fits(self.oui.as_ref(), Some(traits.oui))
            && fits(self.product_class.as_ref(), Some(traits.product_class))
            && fits(self.software_version.as_ref(), traits.software_version)
    }

    fn patterns(&self) -> impl Iterator<Item = Option<&Pattern>> {
        [&self.oui, &self.product_class, &self.model_name, &self.software_version].into_iter().map(Option::as_ref)
    }

    fn specificity(&self) -> Specificity {
        let given = self.patterns().flatten();
        given.fold(Specificity { fields: 0, literal_chars: 0 }, |sum, pattern| Specificity {
            fields: sum.fields + 1,
            literal_chars: sum.literal_chars + pattern.literal_chars(),
        })
    }
}

fn fits(pattern: Option<&Pattern>, text: Option<&str>) -> bool {
    pattern.is_none_or(|pattern| text.is_some_and(|text| pattern.matches(text)))
}

/// Whether two rules are equally specific and some device fits both: it could not be told which type it is of.
#[must_use]
pub fn conflict(one: &TypeMatch, other: &TypeMatch) -> bool {
    let specificity = one.specificity();
    specificity.fields > 0
        && specificity == other.specificity()
        && one.patterns().zip(other.patterns()).all(|pair| match pair {
            (Some(one), Some(other)) => one.meets(other),
            (Some(_), None) | (None, Some(_) | None) => true,
        })
}

/// The first other type whose rules conflict with those of `candidate`, which may be stored already.
#[must_use]
pub fn ties<'t>(candidate: &DeviceType, all: impl IntoIterator<Item = &'t DeviceType>) -> Option<DeviceTypeId> {
    let others = all.into_iter().filter(|other| other.id != candidate.id);
    others.into_iter().find(|other| conflict(&candidate.matching, &other.matching)).map(|other| other.id)
}

/// The type whose rules fit best; of equally specific ones the oldest.
#[must_use]
pub fn classify<'t>(all: impl IntoIterator<Item = &'t DeviceType>, traits: &Traits<'_>) -> Option<DeviceTypeId> {
    let matching = all.into_iter().filter(|candidate| candidate.matching.matches(traits));
    matching.max_by(|one, other| more_specific(one, other)).map(|best| best.id)
}

/// Whether the model name, which is not known yet, could make the device one of another type.
#[must_use]
pub fn is_model_name_missing<'t>(all: impl IntoIterator<Item = &'t DeviceType> + Clone, traits: &Traits<'_>) -> bool {
    if traits.model_name.is_some() {
        return false;
    }
    let matching = all.clone().into_iter().filter(|candidate| candidate.matching.matches(traits));
    let best = matching.max_by(|one, other| more_specific(one, other));
    all.into_iter()
        .filter(|candidate| candidate.matching.model_name.is_some() && candidate.matching.fits(traits))
        .any(|candidate| best.is_none_or(|best| more_specific(candidate, best) == Ordering::Greater))
}

fn more_specific(one: &DeviceType, other: &DeviceType) -> Ordering {
    one.matching.specificity().cmp(&other.matching.specificity()).then(other.id.cmp(&one.id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::time::Timestamp;

    fn pattern(text: &str) -> Pattern {
        Pattern(text.to_owned())
    }

    fn rules(id: u32, oui: &str, class: &str, model: &str, version: &str) -> DeviceType {
        let given = |text: &str| (!text.is_empty()).then(|| pattern(text));
        let matching = TypeMatch {
            oui: given(oui),
            product_class: given(class),
            model_name: given(model),
            software_version: given(version),
        };
        DeviceType { id: DeviceTypeId(id), matching, ..DeviceType::generic(Timestamp::default()) }
    }

    const HOME: Traits<'_> =
        Traits { oui: "00D09E", product_class: "HomeGate", model_name: None, software_version: Some("2.1.7") };

    #[test]
    fn stars_stand_for_any_run_and_case_for_nothing() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("abc", "ABC", true),
            ("abc", "ab", false),
            ("a*c", "ac", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("*ab*ab*", "abab", true),
            ("*ab*ab*", "aba", false),
            ("2.1.*", "2.1.7", true),
            ("2.1.*", "2.10.7", false),
            ("ÄH*", "ähnlich", true),
            ("**a", "xa", true),
        ];
        for (text, found, want) in table {
            assert_eq!(pattern(text).matches(found), want, "{text:?} and {found:?}");
        }
    }

    #[test]
    fn patterns_meet_where_some_text_fits_both() {
        let table = [
            ("a*", "*b", true),
            ("a*", "b*", false),
            ("a*b", "b*a", false),
            ("*a*", "*b*", true),
            ("abc", "a*", true),
            ("abc", "ABC", true),
            ("abc", "abd", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "a*", false),
            ("1.*", "1.2.*", true),
        ];
        for (one, other, want) in table {
            assert_eq!(pattern(one).meets(&pattern(other)), want, "{one:?} and {other:?}");
            assert_eq!(pattern(other).meets(&pattern(one)), want, "{other:?} and {one:?}");
        }
    }

    #[test]
    fn the_most_specific_rule_wins() {
        let all = [
            rules(2, "00d09e", "", "", ""),
            rules(3, "00D09E", "Home*", "", ""),
            rules(4, "", "HomeGate", "", ""),
            rules(5, "00D09E", "HomeG*", "", ""),
            rules(6, "00D09E", "Home*", "", "3.*"),
            rules(7, "", "", "", ""),
        ];
        assert_eq!(classify(&all, &HOME), Some(DeviceTypeId(5)), "two fields, and more characters");
        assert_eq!(classify(&all[..1], &HOME), Some(DeviceTypeId(2)));
        assert_eq!(classify(&all[..3], &HOME), Some(DeviceTypeId(3)), "two fields before one with more characters");
        assert_eq!(classify(&all[5..], &HOME), None, "no rules, no devices");
        let newer = Traits { software_version: Some("3.0"), ..HOME };
        assert_eq!(classify(&all, &newer), Some(DeviceTypeId(6)));
        let silent = Traits { software_version: None, ..HOME };
        assert_eq!(classify(&all, &silent), Some(DeviceTypeId(5)), "what is not known fits no rule");
    }

    #[test]
    fn the_model_name_is_asked_for_where_it_matters() {
        let class = rules(2, "", "HomeGate", "", "");
        let model = rules(3, "", "HomeGate", "HG-*", "");
        let other = rules(4, "", "Other", "HG-*", "");
        let weaker = rules(5, "", "", "HG-*", "");
        assert!(is_model_name_missing([&class, &model], &HOME));
        assert!(!is_model_name_missing([&class, &other], &HOME));
        assert!(!is_model_name_missing([&class, &weaker], &HOME), "it would not win anyway");
        assert!(is_model_name_missing([&weaker], &HOME));
        let known = Traits { model_name: Some("HG-1"), ..HOME };
        assert!(!is_model_name_missing([&class, &model], &known));
        assert_eq!(classify([&class, &model], &known), Some(DeviceTypeId(3)));
    }

    #[test]
    fn a_tie_is_equal_specificity_and_a_device_that_fits_both() {
        let stored = [rules(2, "00D09E", "Home*", "", ""), rules(3, "", "", "", "")];
        let table = [
            ("same", rules(9, "00D09E", "Home*", "", ""), Some(2)),
            ("overlap", rules(9, "00D09E", "*Gate", "", ""), Some(2)),
            ("another field", rules(9, "00D09E", "", "Home", ""), Some(2)),
            ("more specific", rules(9, "00D09E", "Home1*", "", ""), None),
            ("apart", rules(9, "00D09F", "Home*", "", ""), None),
            ("no rules", rules(9, "", "", "", ""), None),
            ("itself", rules(2, "00D09E", "Home*", "", ""), None),
        ];
        for (case, candidate, want) in table {
            assert_eq!(ties(&candidate, &stored), want.map(DeviceTypeId), "{case}");
        }
    }

    proptest! {
        #[test]
        fn two_patterns_meet_exactly_when_some_short_text_fits_both(one in "[ab*]{0,5}", other in "[ab*]{0,5}") {
            let (one, other) = (pattern(&one), pattern(&other));
            // Where any text fits both, one no longer than both patterns together does.
            let mut texts = vec![String::new()];
            let mut from = 0;
            for _ in 0..one.literal_chars() + other.literal_chars() {
                let to = texts.len();
                for at in from..to {
                    let longer: Vec<String> = ["a", "b"].map(|letter| format!("{}{letter}", texts[at])).into();
                    texts.extend(longer);
                }
                from = to;
            }
            let some = texts.iter().any(|text| one.matches(text) && other.matches(text));
            prop_assert_eq!(one.meets(&other), some);
            prop_assert_eq!(other.meets(&one), some);
        }

        #[test]
        fn a_pattern_fits_what_it_was_made_from(parts in prop::collection::vec("[a-zA-Z.*]{0,4}", 1..5)) {
            prop_assert!(pattern(&parts.join("*")).matches(&parts.join("x").to_uppercase().replace('*', "-")));
        }
    }
}
