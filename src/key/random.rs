//! Random text from the operating system's generator.

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroize;

/// The 62 characters of keys and ids, in the order of their values as base62 digits.
pub(super) const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The operating system's random generator did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct RandomError(#[source] <SysRng as TryRng>::Error);

/// Appends `count` characters to `text`, each one of `alphabet` with the same probability.
///
/// Bytes that would favour some characters are thrown away (rejection sampling), so no character is likelier than
/// another.
pub(super) fn append_random(text: &mut String, count: usize, alphabet: &[u8]) -> Result<(), RandomError> {
    let fair = 256 - 256 % alphabet.len();
    let mut pool = [0_u8; 64];
    let mut missing = count;
    while missing > 0 {
        SysRng.try_fill_bytes(&mut pool).map_err(RandomError)?;
        for byte in pool.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair).take(missing) {
            text.push(char::from(alphabet[byte % alphabet.len()]));
            missing -= 1;
        }
    }
    pool.zeroize();
    Ok(())
}

/// `count` random letters and digits with `prefix` in front.
pub(crate) fn random_alphanumeric(prefix: &str, count: usize) -> Result<String, RandomError> {
    let mut text = String::with_capacity(prefix.len() + count);
    text.push_str(prefix);
    append_random(&mut text, count, BASE62)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_about_as_likely() {
        let text = random_alphanumeric("", 62_000).unwrap();
        for character in BASE62 {
            let seen = text.bytes().filter(|byte| byte == character).count();
            // 1,000 expected; a deviation of 250 is eight standard deviations.
            assert!((750..1_250).contains(&seen), "{}: {seen}", char::from(*character));
        }
    }

    #[test]
    fn the_length_is_exact() {
        for count in [0, 1, 40, 64, 65, 1_000] {
            assert_eq!(random_alphanumeric("key_", count).unwrap().len(), count + 4);
        }
    }
}
