//! `--watch`: what a command shows, kept up to date until Ctrl-C. It is read again when the node says that something happened, which
//! is asked once and waited for. On a terminal the picture is redrawn in place; elsewhere each row that changed is a line, so that a
//! file or a pipe reads as a history. With `--json` each changed row is an object.

use super::context::Context;
use super::paint::{Paint, Tone};
use super::show::{self, Column};
use super::watch::{AWAY, Events};
use crate::client::{Client, Error};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long a picture stands before it is read again, whatever happens meanwhile. Shorter, and nobody could read it.
const STANDS: Duration = Duration::from_millis(250);

/// After how long it is read again though nothing happened, in milliseconds: no event tells of who is connected, nor an agent of what
/// others post. Longer, and such a change seems not to come; shorter, and the node is asked for nothing.
const QUIET_MS: u64 = 5_000;

/// How many lines are drawn where the terminal does not say how high it is.
const LINES_USUAL: usize = 24;

/// What is watched: rows with a key each.
pub struct Watched {
    /// Where the node shows them.
    pub path: String,
    /// What is shown of each.
    pub columns: &'static [Column],
    /// The column that names a row.
    pub key: &'static str,
    /// What is said where there is none.
    pub none: &'static str,
}

/// Shows it until Ctrl-C. A node that is away or busy is waited for.
///
/// # Errors
/// What waiting will not mend, and what stdout says.
pub async fn watch(context: &Context, watched: Watched) -> anyhow::Result<()> {
    let client = context.client()?;
    let rows = async || -> Result<Vec<Value>, Error> {
        Ok(client.get::<Value>(&watched.path).await?["items"].as_array().cloned().unwrap_or_default())
    };
    follow(context, &watched, Some(&client), rows).await
}

/// Shows what `read` finds until Ctrl-C; `news` is the node, called by somebody who may hear of its events.
///
/// # Errors
/// As [`watch`].
pub async fn follow(
    context: &Context,
    watched: &Watched,
    news: Option<&Client>,
    read: impl AsyncFn() -> Result<Vec<Value>, Error>,
) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let showing = show_on(context, watched, (news, QUIET_MS), read);
    tokio::select! {
        shown = showing => shown,
        _ = interrupt.recv() => Ok(()),
    }
}

async fn show_on(
    context: &Context,
    watched: &Watched,
    (news, quiet_ms): (Option<&Client>, u64),
    read: impl AsyncFn() -> Result<Vec<Value>, Error>,
) -> anyhow::Result<()> {
    let mut screen = Screen::new(context.show.json);
    let mut events = news.map(|client| Events::new(client, String::new(), Some("now".into())));
    // At first no more than the place among the events is taken, before the rows are read: nothing falls in between.
    let (mut before, mut wait_ms) = (None, 0);
    loop {
        let looked = async {
            happens(&mut events, wait_ms).await?;
            read().await
        };
        match looked.await {
            Ok(rows) => {
                screen.show(watched, before.as_deref(), &rows)?;
                (before, wait_ms) = (Some(rows), quiet_ms);
                tokio::time::sleep(STANDS).await;
            }
            Err(error) if error.is_passing() => {
                screen.away(&error.to_string())?;
                wait_ms = 0;
                tokio::time::sleep(error.retry_after().unwrap_or(AWAY)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until something happened, or for long enough. Who may not hear of events goes on without them.
async fn happens(events: &mut Option<Events<'_>>, wait_ms: u64) -> Result<(), Error> {
    let Some(following) = events else {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        return Ok(());
    };
    let mut told = following.next(wait_ms).await;
    if told.as_ref().is_err_and(|error| error.code() == Some("cursor_ahead")) {
        // Another node answers there, or one that was restored: its events have other places.
        following.skip_to_now();
        told = following.next(0).await;
    }
    match told {
        Err(error @ Error::Refused { status: 400..=499, .. }) if !error.is_passing() => {
            *events = None;
            Ok(())
        }
        told => told.map(drop),
    }
}

/// Where it is shown.
enum Screen {
    /// In place; how many lines stand there now.
    Terminal { lines: usize, paint: Paint },
    /// A line for each change; whether the node is known to be away.
    Lines { json: bool, away: bool },
}

impl Screen {
    fn new(json: bool) -> Self {
        if json || !std::io::stdout().is_terminal() {
            return Screen::Lines { json, away: false };
        }
        Screen::Terminal { lines: 0, paint: Paint::of_stdout() }
    }

    fn show(&mut self, watched: &Watched, before: Option<&[Value]>, rows: &[Value]) -> anyhow::Result<()> {
        match self {
            Screen::Terminal { lines, paint } => {
                let text = picture(watched, rows, *paint);
                draw(lines, &text)
            }
            Screen::Lines { json, away } => {
                *away = false;
                let now = crate::clock::wall().iso8601();
                for change in changes(watched, before.unwrap_or_default(), rows) {
                    show::line(&told(watched, &change, *json, &now))?;
                }
                if before.is_none() && rows.is_empty() && !*json {
                    show::note(watched.none);
                }
                Ok(())
            }
        }
    }

    fn away(&mut self, why: &str) -> anyhow::Result<()> {
        match self {
            Screen::Terminal { lines, paint } => {
                let text = paint.say(Tone::Bad, &format!("waiting for the node: {}", show::plain(why)));
                draw(lines, &text)
            }
            Screen::Lines { away, .. } => {
                if !std::mem::replace(away, true) {
                    show::note(&format!("waiting for the node: {}", show::plain(why)));
                }
                Ok(())
            }
        }
    }
}

/// Draws over what stands there: as many lines as the terminal holds.
fn draw(lines: &mut usize, text: &str) -> anyhow::Result<()> {
    let (wide, high) = size();
    let mut out = std::io::stdout().lock();
    out.write_all(frame(*lines, text, (wide, high)).as_bytes())?;
    out.flush()?;
    *lines = text.lines().count().min(high.saturating_sub(1));
    Ok(())
}

/// The bytes that put `text` over `before` lines: up, then each line over the old one, then nothing below.
fn frame(before: usize, text: &str, (wide, high): (usize, usize)) -> String {
    let mut bytes = String::new();
    if before > 0 {
        bytes.push_str(&format!("\x1b[{before}A"));
    }
    bytes.push('\r');
    for line in text.lines().take(high.saturating_sub(1)) {
        bytes.push_str(&cut(line, wide));
        bytes.push_str("\x1b[K\n");
    }
    bytes.push_str("\x1b[J");
    bytes
}

/// As much of a line as fits; colours take no room.
fn cut(line: &str, wide: usize) -> String {
    let (mut kept, mut room, mut in_code) = (String::new(), wide, false);
    for c in line.chars() {
        match c {
            '\x1b' => in_code = true,
            _ if in_code => in_code = !c.is_ascii_alphabetic(),
            _ if room == 0 => continue,
            _ => room -= 1,
        }
        kept.push(c);
    }
    kept
}

/// How many characters a line of the terminal has, and how many lines there are; lines without an end where there is no terminal.
pub fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 1 && size.ws_col > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (usize::MAX, LINES_USUAL),
    }
}

fn picture(watched: &Watched, rows: &[Value], paint: Paint) -> String {
    let now = crate::clock::wall().iso8601();
    let head = paint.say(Tone::Dim, &format!("{now}, as it happens; Ctrl-C ends it"));
    match rows.is_empty() {
        true => format!("{head}\n{}\n", watched.none),
        false => format!("{head}\n{}", show::painted_table(rows, watched.columns, paint)),
    }
}

/// A row that came, changed or went.
#[derive(Debug, PartialEq)]
struct Change<'a> {
    row: &'a Value,
    is_gone: bool,
}

/// What a reader sees of two pictures: rows that are new or look otherwise, and those that went.
fn changes<'a>(watched: &Watched, before: &'a [Value], now: &'a [Value]) -> Vec<Change<'a>> {
    let key = |row: &'a Value| row[watched.key].as_str().unwrap_or_default();
    let old: BTreeMap<&str, &Value> = before.iter().map(|row| (key(row), row)).collect();
    let new: BTreeMap<&str, &Value> = now.iter().map(|row| (key(row), row)).collect();
    let looks = |row: &Value| show::cells(row, watched.columns);
    let came = now.iter().filter(|row| old.get(key(row)).is_none_or(|was| looks(was) != looks(row)));
    let gone = before.iter().filter(|row| !new.contains_key(key(row)));
    let came = came.map(|row| Change { row, is_gone: false });
    came.chain(gone.map(|row| Change { row, is_gone: true })).collect()
}

fn told(watched: &Watched, change: &Change<'_>, json: bool, now: &str) -> String {
    if json {
        return json!({"at": now, "gone": change.is_gone, "item": change.row}).to_string();
    }
    let cells = show::cells(change.row, watched.columns);
    let parts = watched.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
    let parts: Vec<String> = parts.map(|((heading, _), cell)| format!("{heading}={cell}")).collect();
    format!("{now}  {}{}", if change.is_gone { "gone: " } else { "" }, parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::super::Global;
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::future::pending;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::Notify;

    const PATIENCE: Duration = Duration::from_secs(20);
    const HOUR_MS: u64 = 3_600_000;

    fn page(cursor: &str) -> (u16, Value) {
        (200, json!({"items": [], "next_cursor": cursor}))
    }

    fn refused(status: u16, code: &str) -> (u16, Value) {
        (status, json!({"error": {"code": code, "message": "no"}, "correlation_id": "1"}))
    }

    /// Watches a node that gives these answers and then none, until it was read so often; what the node was asked.
    async fn watches(answers: Vec<(u16, Value)>, quiet_ms: u64, times: u32) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = RefCell::new(Vec::new());
        let serves = async {
            for (status, answer) in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let (mut read, mut piece) = (Vec::new(), [0; 1_024]);
                while !read.ends_with(b"\r\n\r\n") {
                    let bytes = stream.read(&mut piece).await.expect("a request");
                    assert!(bytes > 0, "half a request");
                    read.extend_from_slice(&piece[..bytes]);
                }
                let text = String::from_utf8(read).expect("text");
                asked.borrow_mut().push(text.split(' ').nth(1).unwrap_or_default().to_owned());
                let body = answer.to_string();
                let head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}", body.len());
                stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.expect("a reader");
            }
            pending::<()>().await;
        };
        let client = Client::new(&url, None).expect("a URL");
        let context = Context::new(Global { json: true, ..Global::default() });
        let (reads, enough) = (Cell::new(0), Notify::new());
        let read = async || {
            reads.set(reads.get() + 1);
            if reads.get() == times {
                enough.notify_one();
            }
            Ok(vec![json!({"id": "a", "status": "available"})])
        };
        tokio::select! {
            shown = show_on(&context, &WATCHED, (Some(&client), quiet_ms), read) => panic!("{shown:?}"),
            () = serves => {}
            enough = tokio::time::timeout(PATIENCE, enough.notified()) => enough.expect("read so often in time"),
        }
        asked.into_inner()
    }

    fn asks(wait_ms: u64, after: &str) -> String {
        format!("/v1/events?limit=200&wait_ms={wait_ms}&after={after}")
    }

    #[tokio::test]
    async fn what_happens_has_it_read_again_however_long_it_is_quiet() {
        let asked = watches(vec![page("7"), page("8")], HOUR_MS, 2).await;
        assert_eq!(asked, [asks(0, "now"), asks(HOUR_MS, "7")]);
    }

    #[tokio::test]
    async fn who_may_not_hear_of_events_watches_without_them() {
        assert_eq!(watches(vec![refused(401, "token_invalid")], 1, 3).await, [asks(0, "now")]);
        let asked = watches(vec![page("7"), refused(403, "agent_revoked")], 1, 3).await;
        assert_eq!(asked, [asks(0, "now"), asks(1, "7")]);
    }

    #[tokio::test]
    async fn a_node_with_fewer_events_is_followed_from_now_on() {
        let answers = vec![page("7"), refused(409, "cursor_ahead"), page("2"), page("3")];
        let asked = watches(answers, HOUR_MS, 3).await;
        assert_eq!(asked, [asks(0, "now"), asks(HOUR_MS, "7"), asks(0, "now"), asks(HOUR_MS, "2")]);
    }

    static WATCHED: Watched = Watched {
        path: String::new(),
        columns: &[("task", "id"), ("status", "status")],
        key: "id",
        none: "none",
    };

    #[test]
    fn only_what_looks_otherwise_is_a_change() {
        let row = |id: &str, status: &str, hidden: u64| json!({"id": id, "status": status, "hidden": hidden});
        let before = [row("a", "available", 1), row("b", "claimed", 1)];
        let now = [row("a", "available", 2), row("c", "available", 1)];
        let found: Vec<(String, bool)> = changes(&WATCHED, &before, &now)
            .iter()
            .map(|change| (change.row["id"].as_str().unwrap_or_default().to_owned(), change.is_gone))
            .collect();
        assert_eq!(found, [("c".to_owned(), false), ("b".to_owned(), true)]);
        let change = Change { row: &now[1], is_gone: true };
        assert_eq!(told(&WATCHED, &change, false, "now"), "now  gone: task=c  status=available");
        assert!(told(&WATCHED, &change, true, "now").contains("\"gone\":true"));
    }

    #[test]
    fn a_picture_is_drawn_over_the_last_one() {
        assert_eq!(frame(0, "a\nb\n", (80, 24)), "\ra\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(frame(2, "c\n", (80, 24)), "\x1b[2A\rc\x1b[K\n\x1b[J");
        assert_eq!(
            frame(0, "a\nb\nc\n", (80, 3)),
            "\ra\x1b[K\nb\x1b[K\n\x1b[J",
            "no more than the terminal holds"
        );
        assert_eq!(cut("\x1b[32mabc\x1b[0md", 2), "\x1b[32mab\x1b[0m");
    }
}
