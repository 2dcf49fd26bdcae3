//! What is asked of a person.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use tower_api_key::key::SecretKey;

use crate::failure::Failure;

/// Longer texts are no keys.
const LONGEST: u64 = 64 * 1024;

/// Whether somebody says yes. Without a terminal nobody can be asked, and it has to be said beforehand.
pub(crate) fn confirmed(question: &str, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("--yes is needed where nobody can be asked"));
    }
    let mut terminal = anstream::stderr();
    write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush()).map_err(Failure::output)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::unavailable("no answer", &error))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// A key from the standard input, or, on a terminal, from a prompt that shows nothing of it.
pub(crate) fn secret() -> Result<SecretKey, Failure> {
    let unreadable = |error: io::Error| Failure::unavailable("the key could not be read", &error);
    let text = if io::stdin().is_terminal() {
        rpassword::prompt_password("Key: ").map_err(unreadable)?
    } else {
        let mut text = String::new();
        io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
        text
    };
    let secret = SecretKey::new(text);
    match secret.expose_secret().trim() {
        "" => Err(Failure::usage("a key is expected on the standard input")),
        trimmed => Ok(SecretKey::new(trimmed)),
    }
}
