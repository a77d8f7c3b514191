//! The tutorial of the README, typed word for word in a fresh home. Nothing is left out but the build, for the program is
//! there, and nothing put in but ports that are free and jobs without numbers.

use crate::{artel, fresh};
use artel_tests::Shell;

/// What the README's section is called.
const SECTION: &str = "\n## First five minutes\n";
/// The one line that is not typed, up to what it says of itself.
const BUILD: &str = "cargo build && export PATH=$PWD/target/debug:$PATH   #";
/// What is said when all was typed.
const END: &str = "that was all";

/// The shell blocks of the section, in order.
fn blocks() -> String {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once(SECTION).expect("the README has the section");
    let section = section.split("\n## ").next().expect("a first part");
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().expect("a block"));
    blocks.collect()
}

#[test]
fn the_first_five_minutes_go_as_they_are_told() {
    let home = fresh();
    let told = blocks();
    assert!(told.starts_with(BUILD), "the build comes first: {told}");
    let mut typed = told.replacen(BUILD, "#", 1);
    for (port, any) in [("/tcp/7434", "/tcp/0"), ("/tcp/7436", "/tcp/0"), ("127.0.0.1:7435", "127.0.0.1:0")] {
        assert!(typed.contains(port), "{port}");
        typed = typed.replace(port, any);
    }
    // Jobs have numbers at a prompt only; here all of them end with the shell's group.
    assert!(typed.contains("\nkill %4 %3 %2 %1 "), "{typed}");
    typed = typed.replace("\nkill ", "\n: ");
    // The first line that fails ends it, as it would end a newcomer's trust.
    let script = format!("trap 'echo \"{END} $?\"' EXIT\nset -e\n{typed}");
    let shell = Shell::new(&artel(), home.path()).with("ARTEL_HTTP", "127.0.0.1:0");
    let mut running = shell.types(&script);
    let mut all = String::new();
    let ended = loop {
        let line = running.line().unwrap_or_else(|| panic!("it never ended: {all}"));
        if let Some(status) = line.strip_prefix(END) {
            break status.trim().to_owned();
        }
        all.push_str(&line);
        all.push('\n');
    };
    assert_eq!(ended, "0", "{all}");
    for (what, times) in [("xyn.task.accepted", 2), ("sound: ", 1), ("; the proofs hold", 1)] {
        assert_eq!(all.matches(what).count(), times, "{what}: {all}");
    }
}
