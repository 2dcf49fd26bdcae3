//! Whether what the documents point to is there.

use std::path::Path;

/// The longest page of the guide, in lines.
const LONGEST: usize = 160;

/// Every document with links to other files.
fn documents() -> Vec<std::path::PathBuf> {
    let root = super::root();
    let mut documents = super::files_below(&root.join("docs"), "md");
    documents.extend(["README.md", "SECURITY.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    documents
}

/// The targets of `[text](target)`, without those on other machines.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://")).collect()
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let letter = |letter: char| match letter {
        ' ' => Some('-'),
        letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter.to_ascii_lowercase()),
        _ => None,
    };
    heading.chars().filter_map(letter).collect()
}

fn has_heading(path: &Path, wanted: &str) -> bool {
    let text = super::read(path);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).any(|found| found == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = super::read(&document);
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = document.parent().expect("documents are in folders");
            let target = if file.is_empty() { document.clone() } else { folder.join(file) };
            if !target.exists() || !heading.is_empty() && !has_heading(&target, heading) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_of_the_guide_is_short_and_listed() {
    let index = super::read(super::root().join("docs/guide/README.md"));
    for page in super::guide() {
        let name = page.file_name().and_then(|name| name.to_str()).unwrap();
        let lines = super::read(&page).lines().count();
        assert!(lines <= LONGEST, "{name} has {lines} lines");
        assert!(name == "README.md" || links(&index).contains(&name), "{name} is not listed");
    }
}
