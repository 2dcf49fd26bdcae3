//! A page of the guide, as a recipe: files to write, and commands to enter.

use std::path::Path;

/// A page, and what is to be done on it.
#[derive(Debug)]
pub(crate) struct Page {
    /// The name of the file, and of the package that it makes.
    pub(crate) name: String,
    /// Paths and texts, `Cargo.toml` among them.
    pub(crate) files: Vec<(String, String)>,
    /// In the order of the page.
    pub(crate) steps: Vec<Step>,
}

/// A block of commands, and what the page says that they print.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) commands: String,
    pub(crate) expected: Option<String>,
}

/// A block of a page.
struct Block<'t> {
    line: usize,
    language: &'t str,
    /// The last line of text before it.
    caption: &'t str,
    text: String,
}

impl Page {
    /// Blocks under a line that ends with a name in backticks and a colon are files, `sh` blocks are commands, and a `text`
    /// or `json` block after one says what it prints. Everything else is refused, so that no block goes untried.
    pub(crate) fn read(path: &Path) -> Self {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("pages have names");
        Self::parse(name, &crate::read(path))
    }

    fn parse(name: &str, text: &str) -> Self {
        let mut page = Self { name: name.to_owned(), files: Vec::new(), steps: Vec::new() };
        let mut printed = false;
        for block in blocks(text) {
            let Block { line, language, caption, text } = block;
            let place = format!("{}.md:{line}", page.name);
            match (file_name(caption), language) {
                (Some(file), _) => page.files.push((file.to_owned(), text)),
                (None, "sh") => page.steps.push(Step { line, commands: text, expected: None }),
                (None, "text" | "json") if printed => {
                    let step = page.steps.last_mut().unwrap_or_else(|| panic!("{place}: nothing prints this"));
                    step.expected = Some(text);
                }
                (None, other) => panic!("{place}: a block of {other} that is neither a file nor a command"),
            }
            printed = language == "sh" && file_name(caption).is_none();
        }
        page
    }

    /// Whether there is anything to be tried.
    pub(crate) fn is_recipe(&self) -> bool {
        self.files.iter().any(|(name, _)| name == "Cargo.toml")
    }
}

/// The name in a line such as "and `src/main.rs`:".
fn file_name(caption: &str) -> Option<&str> {
    let (_, name) = caption.trim_end().strip_suffix("`:")?.rsplit_once('`')?;
    Some(name)
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let (mut caption, mut inside) = ("", false);
    for (number, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if inside => (inside, caption) = (false, ""),
            Some(language) => {
                blocks.push(Block { line: number + 1, language, caption, text: String::new() });
                inside = true;
            }
            None if inside => {
                let block = blocks.last_mut().expect("a block was begun");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None if line.trim().is_empty() => {}
            None => caption = line,
        }
    }
    assert!(!inside, "a block is not closed");
    blocks
}

#[test]
fn a_page_is_files_commands_and_what_they_print() {
    let page =
        Page::parse("p", "`a/b.rs`:\n\n```rust\nfn x() {}\n```\n\n```sh\nls\n```\n\nprints\n\n```text\na\n```\n");
    assert_eq!(page.files, [("a/b.rs".to_owned(), "fn x() {}\n".to_owned())]);
    assert_eq!(page.steps.len(), 1);
    assert_eq!((page.steps[0].commands.as_str(), page.steps[0].expected.as_deref()), ("ls\n", Some("a\n")));
}

#[test]
#[should_panic(expected = "p.md:1: a block of rust that is neither a file nor a command")]
fn a_block_that_nobody_would_try_is_refused() {
    Page::parse("p", "```rust\nfn x() {}\n```\n");
}
