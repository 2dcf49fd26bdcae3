//! Texts with `…` in them, which stands for whatever a machine wrote there.

/// Whether `text` is what `expected` says. A line that is `…` stands for any number of lines, and `…` within a line for any
/// characters.
pub(crate) fn matches(expected: &str, text: &str) -> bool {
    let lines = |text: &str| text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    lines_match(&lines(expected), &lines(text))
}

fn lines_match(expected: &[String], found: &[String]) -> bool {
    match expected.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first.trim() == "…" => (0..=found.len()).any(|skip| lines_match(rest, &found[skip..])),
        Some((first, rest)) => match found.split_first() {
            Some((line, others)) => line_matches(first, line) && lines_match(rest, others),
            None => false,
        },
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    match expected.split_once('…') {
        None => expected == line,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|left| {
            let mut places = left.char_indices().map(|(at, _)| at).chain([left.len()]);
            places.any(|at| line_matches(rest, &left[at..]))
        }),
    }
}

/// A command in which every `ak_live_…` is the latest word of `printed` that begins so.
pub(crate) fn filled_in(command: &str, printed: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = command;
    while let Some((before, after)) = rest.split_once('…') {
        let start = &before[before.trim_end_matches(is_of_a_word).len()..];
        let words = printed.match_indices(start).filter_map(|(at, _)| {
            let word = &printed[at..];
            let end = word.find(|letter| !is_of_a_word(letter)).unwrap_or(word.len());
            Some(&word[..end]).filter(|word| !start.is_empty() && word.len() > start.len())
        });
        let word = words.last().ok_or_else(|| format!("nothing was printed that begins with {start:?}:\n{printed}"))?;
        filled.push_str(before.strip_suffix(start).unwrap_or(before));
        filled.push_str(word);
        rest = after;
    }
    Ok(filled + rest)
}

fn is_of_a_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

#[test]
fn what_is_left_out_may_be_anything_and_the_rest_may_not() {
    for (expected, text, agrees) in [
        ("a\nb", "a\nb\n", true),
        ("a\nb", "a\nc", false),
        ("a\nb", "a", false),
        ("a", "a\nb", false),
        ("a\n…\nd", "a\nb\nc\nd", true),
        ("a\n…\nd", "a\nd", true),
        ("a\n…\nd", "a\nb\nc", false),
        ("key_…, 200", "key_1f, 200", true),
        ("key_…, 200", "key_1f, 401", false),
        ("{\"id\":\"…\",\"name\":\"ci\"}", "{\"id\":\"key_1\",\"name\":\"ci\"}", true),
        ("{\"id\":\"…\",\"name\":\"ci\"}", "{\"id\":\"key_1\",\"name\":\"other\"}", false),
    ] {
        assert_eq!(matches(expected, text), agrees, "{expected} and {text}");
    }
}

#[test]
fn a_word_that_is_cut_is_the_latest_that_was_printed() {
    let printed = "curl -H 'X-API-Key: ak_live_1'\n{\"id\":\"key_7\",\"key\":\"ak_live_2\"}";
    let filled = filled_in("KEY=ak_live_… # key_…/rotate", printed);
    assert_eq!(filled.as_deref(), Ok("KEY=ak_live_2 # key_7/rotate"));
    assert!(filled_in("KEY=sk_…", printed).is_err());
    assert!(filled_in("KEY=…", printed).is_err());
}
