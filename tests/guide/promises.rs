//! Whether the tests that SECURITY.md names hold its guarantees are there.

/// A row of the table of guarantees: what is promised, and the tests that hold it.
struct Promise {
    number: String,
    tests: Vec<String>,
}

/// Rows whose first cell is a number; tests are written `` `path::name` ``.
fn promises(text: &str) -> Vec<Promise> {
    let mut promises = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if cells[0].parse::<u32>().is_ok() {
            let last = cells.last().copied().unwrap_or_default();
            let tests = last.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            promises.push(Promise { number: cells[0].to_owned(), tests });
        }
    }
    promises
}

/// Whether the file has a test of this name: a function right below `#[test]` or `#[tokio::test]`, or a property.
fn is_a_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let start = [format!("fn {name}("), format!("async fn {name}(")];
    lines.iter().enumerate().any(|(number, line)| {
        let before = lines[..number].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        start.iter().any(|start| line.starts_with(start)) && before.clone().any(|line| line.contains("test"))
    })
}

#[test]
fn every_guarantee_names_tests_that_there_are() {
    let text = super::read(super::root().join("SECURITY.md"));
    let promises = promises(&text);
    assert!(promises.len() >= 27, "only {} guarantees are found", promises.len());
    let mut missing = Vec::new();
    for (row, Promise { number, tests }) in promises.iter().enumerate() {
        assert_eq!(*number, (row + 1).to_string(), "guarantees are numbered in order");
        assert!(!tests.is_empty(), "nothing holds guarantee {number}");
        for test in tests {
            let (path, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("{number}: {test} names no test"));
            let found = std::fs::read_to_string(super::root().join(path)).is_ok_and(|source| is_a_test(&source, name));
            if !found {
                missing.push(format!("guarantee {number}: {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "there are no such tests:\n{}", missing.join("\n"));
}

#[test]
fn a_function_that_is_no_test_holds_nothing() {
    let source = "#[test]\nfn a() {}\n\nfn b() {}\n\n#[tokio::test(flavor = \"x\")]\n// Why.\nasync fn c() {}\n";
    assert!(is_a_test(source, "a") && !is_a_test(source, "b") && is_a_test(source, "c") && !is_a_test(source, "d"));
}
