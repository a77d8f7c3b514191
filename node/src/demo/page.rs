//! The report as one HTML page: no script, nothing loaded from elsewhere, light and dark. Everything that comes from a
//! file passes through [`Text`], the one way into the page.

use super::report::Report;
use crate::cli::wording::{count, counted, size};
use std::fmt::{self, Display, Write as _};

const STYLE: &str = include_str!("page.css");

/// Text from outside, escaped for HTML content and attributes. Control characters, which could reorder or hide what
/// stands there, are shown as a replacement.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Bidirectional overrides and their kin.
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    f.write_char('\u{fffd}')?
                }
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Renders the report.
pub fn render(report: &Report) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write(report, &mut page);
    page
}

fn write(report: &Report, page: &mut String) -> fmt::Result {
    let title = Text(&report.title);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}: survey</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<p class=\"eyebrow\">Survey by Artel agents</p>\n<h1>{title}</h1>\n</header>\n"
    )?;
    totals(report, page)?;
    languages(report, page)?;
    secrets(report, page)?;
    duplicates(report, page)?;
    longest_lines(report, page)?;
    left_out(report, page)?;
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

fn totals(report: &Report, page: &mut String) -> fmt::Result {
    let alarm = if report.secrets.is_empty() { "" } else { " class=\"alarm\"" };
    let found = report.secrets.len() as u64 + report.secrets_left_out;
    page.push_str("<dl class=\"totals\">\n");
    let word = |number, one, several| if number == 1 { one } else { several };
    let languages = report.languages.len() as u64;
    for (label, value, class) in [
        (word(report.files, "file", "files"), count(report.files), ""),
        (word(report.lines, "line", "lines"), count(report.lines), ""),
        ("size", size(report.bytes), ""),
        (word(languages, "language", "languages"), count(languages), ""),
        (
            word(report.duplicate_groups, "group of duplicates", "groups of duplicates"),
            count(report.duplicate_groups),
            "",
        ),
        (word(found, "possible secret", "possible secrets"), count(found), alarm),
    ] {
        writeln!(page, "<div{class}><dt>{label}</dt><dd>{value}</dd></div>")?;
    }
    page.push_str("</dl>\n");
    Ok(())
}

fn languages(report: &Report, page: &mut String) -> fmt::Result {
    let most = report.languages.iter().map(|l| l.lines).max().unwrap_or(0).max(1);
    page.push_str("<section>\n<h2>Languages</h2>\n<div class=\"wide\"><table class=\"bars\">\n");
    page.push_str("<thead><tr><th>language</th><th class=\"n\">lines</th><th class=\"bar\"></th><th class=\"n\">files</th><th class=\"n\">size</th></tr></thead>\n<tbody>\n");
    for language in &report.languages {
        // In thousandths, so that the page needs no fractions.
        let part = language.lines.saturating_mul(1_000) / most;
        writeln!(
            page,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"bar\"><span style=\"width:{}.{}%\"></span></td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            Text(&language.name),
            count(language.lines),
            part / 10,
            part % 10,
            count(language.files),
            size(language.bytes),
        )?;
    }
    page.push_str("</tbody>\n</table></div>\n</section>\n");
    Ok(())
}

fn secrets(report: &Report, page: &mut String) -> fmt::Result {
    page.push_str("<section>\n<h2>Strings that look like leaked secrets</h2>\n");
    if report.secrets.is_empty() {
        page.push_str(
            "<p class=\"none\">None were found. That proves nothing; it is a sign.</p>\n</section>\n",
        );
        return Ok(());
    }
    page.push_str(
        "<p>Values are hidden. Test keys and examples look the same as real ones; look at each.</p>\n",
    );
    page.push_str("<div class=\"wide\"><table>\n<thead><tr><th>where</th><th>looks like</th><th>value</th></tr></thead>\n<tbody>\n");
    for found in &report.secrets {
        writeln!(
            page,
            "<tr><td><code>{}:{}</code></td><td>{}</td><td><code>{}</code></td></tr>",
            Text(&found.path),
            found.line,
            Text(&found.kind),
            Text(&found.masked),
        )?;
    }
    page.push_str("</tbody>\n</table></div>\n");
    if report.secrets_left_out > 0 {
        writeln!(page, "<p>{} more are not listed.</p>", count(report.secrets_left_out))?;
    }
    page.push_str("</section>\n");
    Ok(())
}

fn duplicates(report: &Report, page: &mut String) -> fmt::Result {
    page.push_str("<section>\n<h2>Duplicate files</h2>\n");
    if report.duplicates.is_empty() {
        page.push_str("<p class=\"none\">No two files have the same content.</p>\n</section>\n");
        return Ok(());
    }
    writeln!(
        page,
        "<p>{}; all but one file of each take {}.</p>",
        counted(report.duplicate_groups, "group", "groups"),
        size(report.duplicate_bytes)
    )?;
    page.push_str("<div class=\"wide\"><table>\n<thead><tr><th>files</th><th class=\"n\">copies</th><th class=\"n\">size</th></tr></thead>\n<tbody>\n");
    for group in &report.duplicates {
        page.push_str("<tr><td>");
        for path in &group.paths {
            write!(page, "<code>{}</code><br>", Text(path))?;
        }
        if group.copies > group.paths.len() as u64 {
            write!(page, "and {} more", count(group.copies - group.paths.len() as u64))?;
        }
        writeln!(
            page,
            "</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            count(group.copies),
            size(group.bytes)
        )?;
    }
    page.push_str("</tbody>\n</table></div>\n");
    if report.duplicate_groups > report.duplicates.len() as u64 {
        writeln!(
            page,
            "<p>{} more groups are not listed.</p>",
            count(report.duplicate_groups - report.duplicates.len() as u64)
        )?;
    }
    page.push_str("</section>\n");
    Ok(())
}

fn longest_lines(report: &Report, page: &mut String) -> fmt::Result {
    page.push_str("<section>\n<h2>Longest lines</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>where</th><th class=\"n\">characters</th></tr></thead>\n<tbody>\n");
    for line in &report.longest_lines {
        let characters = count(line.characters.into());
        writeln!(
            page,
            "<tr><td><code>{}:{}</code></td><td class=\"n\">{characters}</td></tr>",
            Text(&line.path),
            line.line
        )?;
    }
    page.push_str("</tbody>\n</table></div>\n</section>\n");
    Ok(())
}

fn left_out(report: &Report, page: &mut String) -> fmt::Result {
    let said = sentences(report);
    if !said.is_empty() {
        writeln!(page, "<footer><p>Left out: {}.</p></footer>", said.join(", "))?;
    }
    Ok(())
}

/// What was left out, as parts of a sentence.
pub fn sentences(report: &Report) -> Vec<String> {
    let left_out = &report.left_out;
    [
        (left_out.directories, "directory", "directories", " of version control and build output"),
        (left_out.binary, "binary file", "binary files", ""),
        (left_out.huge, "file", "files", " above 2 MiB"),
        (left_out.special, "link or special file", "links and special files", ""),
        (left_out.unreadable, "unreadable file or directory", "unreadable files or directories", ""),
        (left_out.awkward_paths, "file", "files", " with over-long or undecodable paths"),
        (
            left_out.beyond_limits,
            "file or directory",
            "files or directories",
            " beyond the limits of one survey",
        ),
    ]
    .into_iter()
    .filter(|(number, ..)| *number > 0)
    .map(|(number, one, several, which)| format!("{}{which}", counted(number, one, several)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::files::LeftOut;
    use super::super::report::merge;
    use super::super::survey::{File, Secret, Survey};
    use super::*;

    fn page(path: &str, content: &str) -> String {
        let masked = format!("{}… ({} characters)", &content[..4], content.len());
        let secret = Secret { line: 1, kind: path.to_owned(), masked };
        let files = [path.to_owned(), format!("{path}2")]
            .map(|path| File { secrets: vec![secret.clone()], ..File::of(&path, "Other", content) });
        let survey = Survey { files: files.into(), secrets_left_out: 0 };
        render(&merge(path, [survey], LeftOut { binary: 3, ..LeftOut::default() }))
    }

    #[test]
    fn what_comes_from_files_is_escaped() {
        let page = page("<script>alert('1')</script>&\"\u{202e}\u{7}", "some text\n");
        assert!(!page.contains("<script"), "a path got into the page as it is");
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}\u{fffd}"));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page("a.rs", "fn a() {}\n");
        for bad in ["src=", "href=", "url(", "@import", "http://", "https://"] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert!(page.contains("prefers-color-scheme: dark") && page.contains("Left out: 3 binary files."));
    }
}
