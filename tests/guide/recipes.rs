//! Runs every recipe of the guide as its page has it.

use super::page::{Page, Step};
use super::pattern;
use super::server::Server;
use super::terminal::Terminal;
use super::workspace::{Recipe, Workspace, at_port};

/// Whether servers and the clients of other languages are there to test with.
fn wanted() -> bool {
    std::env::var("TEST_SERVICES").is_ok_and(|on| on == "1")
}

/// `TEST_GUIDE=name` runs one page, `TEST_GUIDE_APART=1` checks each page with no features but its own as well.
#[test]
fn every_recipe_runs_as_its_page_says() {
    if !wanted() {
        return;
    }
    let only = std::env::var("TEST_GUIDE").ok();
    let pages: Vec<_> = super::guide().iter().map(|path| Page::read(path)).filter(Page::is_recipe).collect();
    assert!(pages.len() > 10, "the recipes are not found");
    let mut workspace = Workspace::new();
    let recipes: Vec<_> = (0..).zip(&pages).map(|(number, page)| workspace.write(page, number)).collect();
    workspace.build(&recipes, std::env::var_os("TEST_GUIDE_APART").is_some());
    let mut failures = Vec::new();
    for recipe in &recipes {
        if only.as_ref().is_none_or(|name| *name == recipe.page.name) {
            failures.extend(run(recipe, &workspace).err());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn run(recipe: &Recipe<'_>, workspace: &Workspace) -> Result<(), String> {
    let mut sitting =
        Sitting { recipe, workspace, terminal: Terminal::open(&recipe.folder), server: None, printed: String::new() };
    for step in &recipe.page.steps {
        let outcome = sitting.take(&at_port(&step.commands, recipe.port), step);
        outcome.map_err(|problem| format!("docs/guide/{}.md:{}: {problem}", recipe.page.name, step.line))?;
    }
    sitting.end();
    Ok(())
}

/// Somebody who follows a page, in two terminals.
struct Sitting<'p> {
    recipe: &'p Recipe<'p>,
    workspace: &'p Workspace,
    terminal: Terminal,
    server: Option<Server>,
    /// Everything that was printed so far.
    printed: String,
}

impl Sitting<'_> {
    fn take(&mut self, commands: &str, step: &Step) -> Result<(), String> {
        let commands = commands.trim_end();
        let expected = step.expected.as_ref().map(|expected| at_port(expected, self.recipe.port));
        if commands.starts_with("cargo new ") {
            return Ok(()); // The package is there.
        }
        if commands.ends_with("cargo run") {
            return self.serve(commands, expected.as_deref());
        }
        let (found, status) = self.terminal.enter(&self.built(commands)?);
        self.printed.push_str(&found);
        match expected {
            Some(expected) if !pattern::matches(&expected, found.trim_matches('\n')) => {
                Err(format!("expected\n{expected}\nand found\n{found}"))
            }
            _ if status != 0 => Err(format!("the last command failed ({status}):\n{found}")),
            _ => Ok(()),
        }
    }

    /// Starts the program in place of the one that runs.
    fn serve(&mut self, commands: &str, expected: Option<&str>) -> Result<(), String> {
        self.end();
        let (before, last) = commands.rsplit_once('\n').unwrap_or(("", commands));
        // `exec` cannot stand behind a variable that is set for one command.
        let program = self.workspace.program(self.recipe);
        let last = last.replace("cargo run", &program.display().to_string());
        let commands = format!("{before}\nexec env {last}");
        let server = Server::start(&commands, &self.recipe.folder, self.recipe.port, expected)?;
        self.printed.push_str(&server.printed());
        self.server = Some(server);
        Ok(())
    }

    /// Ends the program that runs, if one does.
    fn end(&mut self) {
        if let Some(server) = self.server.take() {
            server.terminate();
        }
    }

    /// The commands with programs that are built in place of those that cargo would build.
    fn built(&self, commands: &str) -> Result<String, String> {
        if commands == "cargo test" {
            let programs = self.workspace.test_programs(self.recipe);
            // One after another, so that they are printed in the order of their names.
            return Ok(programs.iter().map(|program| format!("{} --test-threads 1\n", program.display())).collect());
        }
        let examples = format!("{}/", self.workspace.examples().display());
        let commands = commands.replace("cargo run --quiet --example ", &examples).replace(" -- ", " ");
        if commands.contains("cargo ") {
            return Err("cargo would build this apart from the others".to_owned());
        }
        pattern::filled_in(&commands, &self.printed)
    }
}
