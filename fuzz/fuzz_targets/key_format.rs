//! Any text as a key of every format.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, PresentedKey};

fuzz_target!(|data: &[u8]| {
    if let Some(presented) = PresentedKey::new(data) {
        assert_eq!(presented.expose_secret().as_bytes(), data);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let formats = [
        KeyFormat::default(),
        KeyFormat::prefixed("acme_sk").unwrap().random_characters(22).unwrap(),
        KeyFormat::alphanumeric(40).unwrap(),
        KeyFormat::hex(64).unwrap(),
        KeyFormat::text(),
        KeyFormat::better_auth("o_"),
        KeyFormat::unkey(Some("uk")),
        KeyFormat::sanctum("app_"),
        KeyFormat::django_rest(),
    ];
    for format in &formats {
        let digested = format.digested(text);
        assert!(text.ends_with(digested));
        if format.accepts(text) {
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(PresentedKey::new(data).is_some());
            let mask = format.mask(text);
            assert!(text.len() < 8 || !mask.contains(text), "{mask}");
        } else {
            let _ = (format.mask(text), format.start(text), format.environment(text));
        }
    }
    if let Ok(digest) = text.parse::<KeyDigest>() {
        assert_eq!(digest.to_stored().as_deref(), Some(text));
    }
    let _ = KeyHasher::sha256().digest(text);
});
