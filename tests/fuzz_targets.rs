//! The fuzz targets on their seeds, and on what comes of these by chance: without a fuzzer, so that none of them is broken
//! unnoticed. `FUZZ_SECONDS` is how long each of them is tried, one second unless set.

#![allow(unused_attributes, reason = "the targets are crates of their own, without a main")]

use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/fuzz_targets/client_ip.rs"]
mod client_ip;
#[path = "../fuzz/fuzz_targets/credentials.rs"]
mod credentials;
#[path = "../fuzz/fuzz_targets/json_file.rs"]
mod json_file;
#[path = "../fuzz/fuzz_targets/jwt.rs"]
mod jwt;
#[path = "../fuzz/fuzz_targets/key_format.rs"]
mod key_format;
#[path = "../fuzz/fuzz_targets/management.rs"]
mod management;
#[path = "../fuzz/fuzz_targets/request.rs"]
mod request;
#[path = "../fuzz/fuzz_targets/sessions.rs"]
mod sessions;

// What the targets take for the crate of that name.
extern crate self as libfuzzer_sys;

/// In place of libFuzzer's: a target is a function.
#[macro_export]
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $body:block) => {
        pub(crate) fn run($data: &[u8]) $body
    };
}

/// SplitMix64: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((value ^ (value >> 31)) % limit as u64).unwrap()
    }
}

fn try_out(name: &str, run: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let seeds = std::fs::read_dir(fuzz.join("corpus").join(name)).unwrap();
    let seeds: Vec<Vec<u8>> = seeds.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(seeds.len() > 3, "{name} has seeds");
    seeds.iter().for_each(|seed| run(seed));
    let words = std::fs::read_to_string(fuzz.join("dictionary")).unwrap();
    let words: Vec<&str> = words.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"')).collect();
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (end, mut numbers) = (Instant::now() + Duration::from_secs(seconds), Numbers(1));
    while Instant::now() < end {
        let mut input = seeds[numbers.below(seeds.len())].clone();
        for _ in 0..=numbers.below(4) {
            change(&mut input, &seeds, &words, &mut numbers);
        }
        run(&input);
    }
}

/// Puts something in, takes something out, or changes something.
fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str], numbers: &mut Numbers) {
    let start = numbers.below(input.len() + 1);
    let end = (start + numbers.below(12)).min(input.len());
    let new: Vec<u8> = match numbers.below(5) {
        0 => Vec::new(),
        1 => vec![numbers.below(256) as u8],
        2 => words[numbers.below(words.len())].replace("\\\"", "\"").into_bytes(),
        3 => input[start..end].repeat(2),
        _ => {
            let other = &seeds[numbers.below(seeds.len())];
            let from = numbers.below(other.len() + 1);
            other[from..].iter().copied().take(numbers.below(40)).collect()
        }
    };
    input.splice(start..end, new);
}

macro_rules! tests {
    ($($name:ident $target:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                try_out(stringify!($target), $target::run);
            }
        )*
    };
}

tests![
    any_headers_state_a_client client_ip,
    any_headers_present_what_the_model_says credentials,
    any_file_of_keys_is_read_or_left_as_it_is json_file,
    any_token_is_answered jwt,
    any_text_is_a_key_or_none key_format,
    any_body_is_answered management,
    any_request_is_answered request,
    any_cookie_is_answered sessions,
];
