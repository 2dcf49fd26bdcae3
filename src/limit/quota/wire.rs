//! A quota as JSON.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Algorithm, Quota, QuotaName};

impl Serialize for Quota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.unlimited {
            return Unlimited { unlimited: true }.serialize(serializer);
        }
        let wire = Limited {
            name: self.name.as_ref().map(QuotaName::as_str),
            limit: self.limit,
            window_seconds: Seconds(self.period),
            burst: self.burst,
            algorithm: self.algorithm,
        };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer)?.into_quota().map_err(de::Error::custom)
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::FixedWindow => "fixed_window",
            Self::SlidingWindow => "sliding_window",
            Self::Gcra => "gcra",
        })
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        match &*name {
            "fixed_window" => Ok(Self::FixedWindow),
            "sliding_window" => Ok(Self::SlidingWindow),
            "gcra" => Ok(Self::Gcra),
            other => Err(de::Error::unknown_variant(other, &["fixed_window", "sliding_window", "gcra"])),
        }
    }
}

#[derive(Serialize)]
struct Unlimited {
    unlimited: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limited<'a> {
    name: Option<&'a str>,
    limit: u32,
    window_seconds: Seconds,
    burst: Option<u32>,
    algorithm: Algorithm,
}

/// Both shapes in one, so that an unknown field is refused by its name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    unlimited: Option<bool>,
    name: Option<String>,
    limit: Option<u32>,
    window_seconds: Option<Seconds>,
    burst: Option<u32>,
    algorithm: Option<Algorithm>,
}

impl Wire {
    fn into_quota(self) -> Result<Quota, String> {
        match (self.unlimited, self.limit, self.window_seconds) {
            (None | Some(false), Some(limit), Some(Seconds(period))) => {
                let mut quota = Quota::new(limit, period).algorithm(self.algorithm.unwrap_or_default());
                quota.burst = self.burst;
                let quota = match self.name {
                    Some(name) => quota.named(name),
                    None => quota,
                };
                quota.validate().map_err(|error| error.to_string())?;
                Ok(quota)
            }
            (Some(true), None, None) if self.name.is_none() && self.burst.is_none() && self.algorithm.is_none() => {
                Ok(Quota::UNLIMITED)
            }
            (Some(true), ..) => Err("an unlimited quota has no other fields".to_owned()),
            (_, None, _) => Err("missing field `limit`".to_owned()),
            (_, _, None) => Err("missing field `windowSeconds`".to_owned()),
        }
    }
}

/// A whole number where it is one, else a decimal fraction.
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.subsec_nanos() {
            0 => serializer.serialize_u64(self.0.as_secs()),
            _ => serializer.serialize_f64(self.0.as_secs_f64()),
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn it_is_written_as_the_api_says_and_read_back() {
        let hourly =
            json!({"name": "hourly", "limit": 100, "windowSeconds": 3600, "burst": null, "algorithm": "fixed_window"});
        let unlimited = json!({"unlimited": true});
        assert_eq!(to_value(Quota::per_hour(100).named("hourly")).unwrap(), hourly);
        assert_eq!(to_value(Quota::UNLIMITED).unwrap(), unlimited);
        assert_eq!(from_value::<Quota>(hourly).unwrap(), Quota::per_hour(100).named("hourly"));
        assert_eq!(from_value::<Quota>(unlimited).unwrap(), Quota::UNLIMITED);
        let short = from_value::<Quota>(json!({"limit": 5, "windowSeconds": 0.25})).unwrap();
        assert_eq!(short, Quota::new(5, Duration::from_millis(250)));
        assert_eq!(from_value::<Quota>(to_value(&short).unwrap()).unwrap(), short);
        let smooth = Quota::per_hour(9).algorithm(Algorithm::Gcra).burst(3);
        assert_eq!(from_value::<Quota>(to_value(&smooth).unwrap()).unwrap(), smooth);
    }

    #[test]
    fn what_is_missing_unknown_or_senseless_is_refused() {
        for wrong in [
            json!({}),
            json!({"limit": 5}),
            json!({"windowSeconds": 5}),
            json!({"limit": 0, "windowSeconds": 60}),
            json!({"limit": -1, "windowSeconds": 60}),
            json!({"limit": 5, "windowSeconds": 0}),
            json!({"limit": 5, "windowSeconds": -1}),
            json!({"limit": 5, "windowSeconds": 1e300}),
            json!({"limit": 5, "windowSeconds": 60, "burst": 5}),
            json!({"limit": 5, "windowSeconds": 60, "algorithm": "leaky"}),
            json!({"limit": 5, "windowSeconds": 60, "name": "a\r\nb"}),
            json!({"limit": 5, "windowSeconds": 60, "window": 60}),
            json!({"limit": 5, "windowMs": 60}),
            json!({"unlimited": false}),
            json!({"unlimited": true, "limit": 5}),
            json!(null),
            json!(100),
        ] {
            assert!(from_value::<Quota>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
