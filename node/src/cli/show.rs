//! How answers are shown: the node's own JSON for programs, aligned text for people. Output goes through here only, so
//! that a closed pipe is an error like any other. Text from others is shown without its control characters.

use super::live;
use super::paint::{Paint, Tone, tone_of};
use serde_json::Value;
use std::io::{self, Write as _};

/// The most characters of one cell of a table, enough for a digest; the rest is in the JSON.
const CELL_CHARS_MAX: usize = 72;

/// How answers are shown.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    /// As JSON.
    pub json: bool,
}

/// A column of a table: its heading and where its value is, as a path of keys with dots.
pub type Column = (&'static str, &'static str);

impl Show {
    /// Shows an answer: as it came, or the text that `human` makes of it.
    ///
    /// # Errors
    /// What stdout says.
    pub fn answer(&self, answer: &str, human: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        if self.json {
            return line(answer.trim_end());
        }
        let value = serde_json::from_str(answer)?;
        line(human(&value).trim_end())
    }

    /// Shows one thing: a line for each field that it has.
    ///
    /// # Errors
    /// What stdout says.
    pub fn fields(&self, answer: &str, columns: &[Column]) -> anyhow::Result<()> {
        self.answer(answer, |value| fields(value, columns))
    }

    /// Shows a list and says when there is more of it.
    ///
    /// # Errors
    /// What stdout says.
    pub fn list(&self, answer: &str, columns: &[Column], none: &str) -> anyhow::Result<()> {
        self.answer(answer, |value| {
            let items = value["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            if items.is_empty() {
                return none.to_owned();
            }
            let mut text = list(items, columns, Paint::of_stdout(), live::size().0);
            if let Some(cursor) = value["next_cursor"].as_str() {
                text.push_str(&format!("\nmore: add --cursor {}", plain(cursor)));
            }
            text
        })
    }

    /// Says that something was done.
    ///
    /// # Errors
    /// What stdout says.
    pub fn done(&self, json: &Value, text: &str) -> anyhow::Result<()> {
        if self.json { line(&json.to_string()) } else { line(text) }
    }
}

/// Writes a line to stdout at once.
///
/// # Errors
/// What stdout says.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Writes a line to stderr, for people who watch. Nobody is told when stderr is closed.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The fields that a thing has, a line each, aligned.
pub fn fields(value: &Value, columns: &[Column]) -> String {
    let rows: Vec<(&str, String)> = columns
        .iter()
        .map(|(heading, path)| (*heading, text_of(at(value, path))))
        .filter(|(_, t)| !t.is_empty())
        .collect();
    let width = rows.iter().map(|(heading, _)| heading.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(heading, text)| format!("{heading:width$}  {text}\n")).collect()
}

/// What a table shows of one item, cell by cell.
pub fn cells(item: &Value, columns: &[Column]) -> Vec<String> {
    columns.iter().map(|(_, path)| cell(at(item, path))).collect()
}

/// A table, or where a line has too few characters for one, the fields of each thing.
pub fn list(items: &[Value], columns: &[Column], paint: Paint, width: usize) -> String {
    if widest(&table(items, columns)) <= width {
        return painted_table(items, columns, paint);
    }
    items.iter().map(|item| fields(item, columns)).collect::<Vec<_>>().join("\n")
}

/// The characters of the longest line.
pub fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// A table with its columns aligned, numbers to the right.
pub fn table(items: &[Value], columns: &[Column]) -> String {
    painted_table(items, columns, Paint::PLAIN)
}

/// The same, a status in the colour of what it means.
pub fn painted_table(items: &[Value], columns: &[Column], paint: Paint) -> String {
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect()];
    rows.extend(items.iter().map(|item| cells(item, columns)));
    let widths: Vec<usize> = (0..columns.len())
        .map(|c| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0))
        .collect();
    let numeric: Vec<bool> =
        columns.iter().map(|(_, path)| items.iter().all(|i| at(i, path).is_number())).collect();
    let last = columns.len().saturating_sub(1);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(c, cell)| {
                // The last cell is followed by nothing, so that it needs no blanks, which a colour would keep.
                let width = if c == last && !numeric[c] { 0 } else { widths[c] };
                let padded = if numeric[c] { format!("{cell:>width$}") } else { format!("{cell:width$}") };
                let tone = match (number, columns[c].1) {
                    (0, _) => Some(Tone::Dim),
                    (_, "status") => tone_of(cell),
                    _ => None,
                };
                tone.map_or(padded.clone(), |tone| paint.say(tone, &padded))
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Text without control characters, so that nothing from elsewhere moves the cursor.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| &value[key])
}

fn cell(value: &Value) -> String {
    let text = text_of(value);
    if text.chars().count() <= CELL_CHARS_MAX {
        return text;
    }
    let kept: String = text.chars().take(CELL_CHARS_MAX - 1).collect();
    format!("{kept}…")
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(text_of).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_that_is_too_wide_for_its_terminal_is_told_field_by_field() {
        let (items, columns) =
            ([json!({"name": "ada", "n": 1}), json!({"name": "ben"})], [("who", "name"), ("tasks", "n")]);
        let at = |width| list(&items, &columns, Paint::PLAIN, width);
        assert_eq!(at(10), "who  tasks\nada  1\nben\n");
        assert_eq!(at(9), "who    ada\ntasks  1\n\nwho  ben\n");
    }

    #[test]
    fn tables_are_aligned_and_tame() {
        let items = [
            json!({"id": "a", "n": 5, "of": {"x": "é"}}),
            json!({"id": "bb\u{1b}[2J", "n": 12, "of": {"x": "y"}}),
        ];
        let text = table(&items, &[("id", "id"), ("count", "n"), ("x", "of.x")]);
        assert_eq!(text, "id      count  x\na           5  é\nbb [2J     12  y\n");
    }

    #[test]
    fn absent_fields_take_no_line() {
        let value = json!({"status": "ok", "error": null, "caps": ["a", "b"]});
        assert_eq!(
            fields(&value, &[("status", "status"), ("error", "error"), ("skills", "caps")]),
            "status  ok\nskills  a, b\n"
        );
    }

    #[test]
    fn long_cells_are_cut() {
        let text = table(&[json!({"t": "x".repeat(100)})], &[("t", "t")]);
        assert_eq!(text.lines().nth(1).map(|l| l.chars().count()), Some(CELL_CHARS_MAX));
    }
}
