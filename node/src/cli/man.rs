//! `artel man`: manual pages, from the same definitions as the commands.

use super::context::{Context, Usage};
use super::examples;
use clap::Args;
use clap_mangen::Man as Page;
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;

/// Write the manual pages of all commands into a directory, or one page to stdout.
#[derive(Args, Debug)]
pub struct Man {
    /// The directory; it is made where it is not there.
    #[arg(value_name = "DIR", required_unless_present = "page")]
    dir: Option<PathBuf>,
    /// One command, such as 'task post', or '' for the program itself, to stdout.
    #[arg(long, value_name = "COMMAND", conflicts_with = "dir")]
    page: Option<String>,
}

impl Man {
    /// Writes them.
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        if let Some(wanted) = &self.page {
            let name = file_name(wanted);
            let pages = pages()?;
            let Some((_, page)) = pages.iter().find(|(known, _)| *known == name) else {
                return Err(Usage(format!(
                    "there is no command {wanted:?}; see them all with: artel --help"
                ))
                .into());
            };
            let mut out = std::io::stdout().lock();
            out.write_all(page)?;
            return Ok(out.flush()?);
        }
        let dir = self.dir.unwrap_or_default();
        let failed = |e: std::io::Error| anyhow::anyhow!("cannot write into {}: {e}", dir.display());
        std::fs::create_dir_all(&dir).map_err(failed)?;
        let pages = pages()?;
        for (name, page) in &pages {
            std::fs::write(dir.join(name), page).map_err(failed)?;
        }
        let text = format!(
            "{} pages are in {}; read one with: man {}/artel.1",
            pages.len(),
            dir.display(),
            dir.display()
        );
        context.show.done(&json!({"dir": dir, "pages": pages.len()}), &text)
    }
}

/// The name of a command's page: `artel-task-post.1`.
fn file_name(of: &str) -> String {
    let words: Vec<&str> = std::iter::once("artel").chain(of.split_whitespace()).collect();
    format!("{}.1", words.join("-"))
}

/// The page of every command that is shown.
fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = examples::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    render(&root, &mut pages)?;
    Ok(pages)
}

fn render(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    let full = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = Page::new(command.clone()).title(full.clone());
    let mut bytes = Vec::new();
    page.render(&mut bytes)?;
    pages.push((format!("{full}.1"), bytes));
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| render(sub, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let pages = pages().expect("written to memory");
        assert_eq!(pages.len(), examples::ALL.len());
        for example in examples::ALL {
            let name = file_name(example.of);
            let (_, page) =
                pages.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}"));
            // As troff has it: a hyphen is a minus sign only with a backslash before it.
            let text = String::from_utf8_lossy(page).replace("\\-", "-").replace("\\\\\n      ", "");
            assert!(text.contains(".TH artel"), "{name}");
            let first = example.lines[0].split('\'').next().expect("a first part");
            assert!(text.contains(first.trim()), "{name} lacks {first:?}:\n{text}");
        }
    }
}
