//! The pages: who sees them, what a form must bear, what others wrote in them, and the live stream. A browser looks at them
//! in `tests/browser`.

mod support;

use artel_web::{Options, PAGES};
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::client::{Client, Reply, connect};
use support::fake::{self, HOSTILE};
use support::{PATIENCE, Running, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Pages of which agents are told that they are not for them.
const OPERATORS: [&str; 4] = ["/ui/mesh", "/ui/invitations", "/ui/settings", "/ui/doctor"];
const OURS: &str = "Origin: http://localhost\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A browser that is signed in: its cookie's header, and the form token of its pages.
struct Browser {
    cookie: String,
    form_token: String,
}

async fn hostile(options: Options) -> Running {
    fake::be_hostile();
    start(options).await
}

async fn post(client: &mut Client, path: &str, headers: &str, form: &str) -> Reply {
    client.ask("POST", path, &format!("{headers}{FORM}"), form.as_bytes()).await
}

async fn sign_in(server: &Running, token: &str) -> Browser {
    let mut client = connect(server.address).await;
    let reply =
        post(&mut client, "/ui/sign-in", OURS, &format!("token={token}&next=/ui/tasks?status=any")).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/ui/tasks?status=any")),
        "{}",
        reply.text()
    );
    let set = reply.header("set-cookie").expect("a cookie").to_owned();
    let cookie = format!("Cookie: other=1; {}\r\n", set.split(';').next().expect("a pair"));
    let page = client.ask("GET", "/ui/tasks/new", &cookie, b"").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let token = page.text().split("name=\"form_token\" value=\"").nth(1).expect("a form token");
    Browser { cookie, form_token: token.split('"').next().expect("its end").to_owned() }
}

/// Whether the service was asked something that begins so since the last look.
fn was_asked(server: &Running, word: &str) -> bool {
    server.service.asked().iter().any(|asked| asked.starts_with(word))
}

fn filled(path: &str) -> String {
    let base = path.replace("{index}", "42").replace("{did}", &fake::agent().to_string());
    let base = base.replace("{step_id}", &fake::task().to_string());
    let id = match path {
        p if p.starts_with("/ui/runs") => fake::run().to_string(),
        p if p.starts_with("/ui/tasks") => fake::task().to_string(),
        _ => fake::artifact().to_string(),
    };
    base.replace("{id}", &id)
}

/// Pages to look at; those that are streams, forms' targets, files or nothing are tried by themselves.
fn looked_at() -> impl Iterator<Item = String> {
    let apart =
        ["/ui/live", "/ui/assets/", "/ui/{*", "/image", "/download", "/proof", "/consistency", "/ui/sign-in"];
    let pages = PAGES.iter().filter(move |(method, path)| {
        *method == "get" && *path != "/ui/" && !apart.iter().any(|a| path.contains(a))
    });
    pages.map(|(_, path)| filled(path))
}

#[tokio::test]
async fn a_stranger_sees_the_public_page_and_is_asked_to_sign_in() {
    let server = hostile(Options::default()).await;
    let mut client = connect(server.address).await;
    for path in looked_at().filter(|path| path != "/") {
        let reply = client.ask("GET", &path, "", b"").await;
        let to = reply.header("location").unwrap_or_default().to_owned();
        assert_eq!(reply.status, 303, "{path}");
        assert!(to.starts_with("/ui/sign-in?next=%2Fui"), "{path}: {to}");
    }
    let reply = client.ask("GET", "/ui/", "", b"").await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/ui")), "as people type it");
    let page = client.ask("GET", "/", "", b"").await;
    assert_eq!(page.status, 200);
    for secret in ["Ada", "agent-token", "operator-token", "Build REST API", &fake::agent().to_string()] {
        assert!(!page.text().contains(secret), "{secret} stands on the public page");
    }
    assert!(page.text().contains("&#60;b&#62;bold&#60;/b&#62;"), "a node's name is text: {}", page.text());
}

#[tokio::test]
async fn every_page_is_drawn_under_a_policy_that_lets_nothing_in_and_what_others_wrote_is_text() {
    let server = hostile(Options::default()).await;
    for token in ["operator-token", "agent-token"] {
        let browser = sign_in(&server, token).await;
        let mut client = connect(server.address).await;
        for path in looked_at() {
            let reply = client.ask("GET", &path, &browser.cookie, b"").await;
            if token == "agent-token" && OPERATORS.contains(&path.as_str()) {
                assert_eq!(reply.status, 403, "{path}");
                assert!(reply.text().contains("<!doctype html>") && reply.text().contains("operator_only"));
                continue;
            }
            assert_eq!(reply.status, 200, "{token} {path}: {}", reply.text());
            let policy = reply.header("content-security-policy").expect("a policy");
            let inline = ["unsafe", "nonce", "http", "*"].iter().any(|word| policy.contains(word));
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self';") && !inline,
                "{path}: {policy}"
            );
            assert!(
                policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"),
                "{policy}"
            );
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
            let page = reply.text();
            assert!(!page.contains("<script>") && !page.contains("<img src=x"), "{token} {path}: {page}");
            for inline in
                [" style=", " onclick", " onload", "javascript:", "//cdn", "src=\"http", "href=\"http"]
            {
                assert!(!page.contains(inline), "{path} has {inline}");
            }
            assert!(!page.contains("operator-token") && !page.contains("agent-token"), "{path}");
            assert_tested(&path, page);
        }
    }
}

/// Every link, button and field that a page's own part has is named for tests.
fn assert_tested(path: &str, page: &str) {
    for tag in ["<a ", "<button", "<select", "<textarea", "<input", "<summary"] {
        for element in page.split(tag).skip(1) {
            let element = element.split('>').next().unwrap_or_default();
            let is_hidden = element.contains("type=\"hidden\"");
            assert!(is_hidden || element.contains("data-testid="), "{path}: {tag}{element}");
        }
    }
}

#[tokio::test]
async fn others_text_is_on_its_page_all_the_same() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut client = connect(server.address).await;
    let page = client.ask("GET", &filled("/ui/tasks/{id}"), &browser.cookie, b"").await;
    assert!(page.text().contains("Build REST API&#34;&#39;&#62;&#60;script&#62;alert(1)"), "{}", page.text());
    assert!(page.text().contains("{{7*7}}"), "{HOSTILE}");
}

#[tokio::test]
async fn a_token_is_good_for_a_cookie_that_says_nothing_and_a_wrong_one_for_nothing() {
    let server = hostile(Options::default()).await;
    let mut client = connect(server.address).await;
    for token in ["", "nonsense", "expired-token", &"x".repeat(5_000)] {
        let reply = post(&mut client, "/ui/sign-in", OURS, &format!("token={token}")).await;
        assert_eq!((reply.status, reply.header("set-cookie")), (403, None), "{token}");
        assert!(reply.text().contains("role=\"alert\""));
    }
    let reply = post(&mut client, "/ui/sign-in", OURS, "token=agent-token&next=//evil.example").await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/ui")), "nobody is sent elsewhere");
    let cookie = reply.header("set-cookie").expect("a cookie");
    for wanted in ["; Path=/ui;", "; HttpOnly", "; SameSite=Strict", "; Max-Age="] {
        assert!(cookie.contains(wanted), "{cookie}");
    }
    assert!(!cookie.contains("agent-token") && !cookie.contains("Secure"), "{cookie}");
    let reply = post(&mut client, "/ui/sign-in", "Origin: https://localhost\r\n", "token=agent-token").await;
    assert!(
        reply.header("set-cookie").expect("a cookie").contains("; Secure"),
        "TLS ends in front of the node"
    );
}

#[tokio::test]
async fn a_post_must_come_from_our_page_and_bear_its_sessions_form_token() {
    let server = hostile(Options { names: vec!["friend.example".into()], ..Options::default() }).await;
    let browser = sign_in(&server, "operator-token").await;
    let other = sign_in(&server, "agent-token").await;
    let mut client = connect(server.address).await;
    let good = format!("form_token={}&title=t&reward=1&input={{}}&key=k1", browser.form_token);
    server.service.asked();
    for (headers, form, status) in [
        (browser.cookie.clone(), good.clone(), 403),
        (format!("{}Origin: http://evil.example\r\n", browser.cookie), good.clone(), 403),
        (format!("{}Origin: http://friend.example\r\n", browser.cookie), good.clone(), 403),
        (format!("{}Origin: null\r\n", browser.cookie), good.clone(), 403),
        (format!("{}{OURS}", browser.cookie), "title=t".into(), 403),
        (format!("{}{OURS}", browser.cookie), good.replace(&browser.form_token, &other.form_token), 403),
        (OURS.into(), good.clone(), 401),
        (format!("Cookie: artel_0=x\r\n{OURS}"), good.clone(), 401),
        (format!("{}{OURS}", browser.cookie), format!("{good}&x={}", "y".repeat(2 << 20)), 413),
    ] {
        let reply = post(&mut connect(server.address).await, "/ui/tasks", &headers, &form).await;
        assert_eq!(reply.status, status, "{headers}{}", &form[..form.len().min(80)]);
    }
    let asked = server.service.asked();
    assert!(!asked.iter().any(|word| word.starts_with("post")), "{asked:?}");
    let reply = post(&mut client, "/ui/tasks", &format!("{}{OURS}", browser.cookie), &good).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some(filled("/ui/tasks/{id}").as_str())));
    for path in ["/ui/tasks", "/ui/sign-out", "/ui/runs/x/cancel"] {
        let reply = client
            .ask("GET", &format!("{path}?form_token={}", browser.form_token), &browser.cookie, b"")
            .await;
        assert_ne!(reply.status / 100, 3, "a GET of {path} does nothing: {}", reply.status);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_said_and_what_was_typed_stays() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut client = connect(server.address).await;
    for (fields, said) in [
        ("title=&reward=1", "title"),
        ("title=keep+%3Cme%3E&reward=much", "reward"),
        ("title=keep+%3Cme%3E&capabilities=a+b%21", "skill"),
        ("title=keep+%3Cme%3E&input=%7B", "not JSON"),
        ("title=keep+%3Cme%3E&deadline_hours=soon", "deadline"),
    ] {
        let form = format!("form_token={}&{fields}", browser.form_token);
        let reply = post(&mut client, "/ui/tasks", &format!("{}{OURS}", browser.cookie), &form).await;
        assert_eq!(reply.status, 422, "{fields}");
        let page = reply.text();
        let alert =
            page.split("role=\"alert\"").nth(1).and_then(|rest| rest.split("</p>").next()).expect("an alert");
        assert!(alert.contains(said), "{fields}: {alert}");
        assert!(said == "title" || page.contains("keep &#60;me&#62;"), "{fields}");
    }
}

#[tokio::test]
async fn a_revoked_token_ends_its_session() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "agent-token").await;
    let mut client = connect(server.address).await;
    server.service.revoked.store(true, Ordering::Relaxed);
    let reply = client.ask("GET", "/ui", &browser.cookie, b"").await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/ui/sign-in?ended=1")));
    assert!(reply.header("set-cookie").expect("taken back").contains("Max-Age=0"));
    server.service.revoked.store(false, Ordering::Relaxed);
    let reply = client.ask("GET", "/ui", &browser.cookie, b"").await;
    assert_eq!(reply.header("location"), Some("/ui/sign-in?next=%2Fui"), "the session is over for good");
}

#[tokio::test]
async fn who_signed_out_is_out() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut client = connect(server.address).await;
    let form = format!("form_token={}", browser.form_token);
    let reply = post(&mut client, "/ui/sign-out", &format!("{}{OURS}", browser.cookie), &form).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/ui/sign-in?out=1")));
    assert_eq!(client.ask("GET", "/ui", &browser.cookie, b"").await.status, 303);
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_a_path_that_changes_with_them() {
    let server = hostile(Options::default()).await;
    let mut client = connect(server.address).await;
    let page = client.ask("GET", "/", "", b"").await;
    let paths: Vec<&str> = page.text().split('"').filter(|part| part.starts_with("/ui/assets/")).collect();
    assert!(paths.len() >= 5, "{paths:?}");
    for path in paths {
        let reply = client.ask("GET", path, "", b"").await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let etag = reply.header("etag").expect("a tag").to_owned();
        let again = client.ask("GET", path, &format!("If-None-Match: {etag}\r\n"), b"").await;
        assert_eq!((again.status, again.body.len()), (304, 0));
        let name = path.rsplit('/').next().expect("a name");
        let old = client.ask("GET", &format!("/ui/assets/0/{name}"), "", b"").await;
        assert_eq!((old.status, old.header("cache-control")), (200, Some("no-cache")), "of an older page");
    }
    assert_eq!(client.ask("GET", "/ui/assets/0/..%2Fsecret", "", b"").await.status, 404);
}

#[tokio::test]
async fn what_is_not_there_is_said_on_a_page() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut client = connect(server.address).await;
    for (path, status) in [
        ("/ui/nothing", 404),
        ("/ui/tasks/nonsense", 400),
        ("/ui/tasks?status=%3Cb%3E", 400),
        ("/ui/events?x=", 200),
    ] {
        let reply = client.ask("GET", path, &browser.cookie, b"").await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert!(reply.text().contains("nav-overview") && !reply.text().contains("<b>"), "{path}");
    }
    let reply = client.ask("GET", "/ui", "Host: evil.example\r\n", b"").await;
    assert_eq!(reply.status, 403);
    assert!(!reply.text().contains("nav-"), "another name gets no page");
}

/// Asks for the live stream and gives the connection.
async fn listen(server: &Running, browser: &Browser) -> TcpStream {
    listen_after(server, browser, "").await
}

/// The same from a place on.
async fn listen_after(server: &Running, browser: &Browser, after: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    let request = format!(
        "GET /ui/live{after} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n",
        browser.cookie
    );
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    stream
}

/// Reads on until a text has come; says what came where the stream ends before.
async fn until(stream: &mut TcpStream, wanted: &str) -> Result<String, String> {
    let mut all = String::new();
    let reading = async {
        let mut piece = [0; 4_096];
        while !all.contains(wanted) {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return false,
                Ok(n) => all.push_str(&String::from_utf8_lossy(&piece[..n])),
            }
        }
        true
    };
    let found = tokio::time::timeout(PATIENCE, reading).await.expect("in time");
    if found { Ok(all) } else { Err(all) }
}

#[tokio::test]
async fn a_live_page_is_told_what_changed_until_its_session_ends() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "agent-token").await;
    let mut stream = listen(&server, &browser).await;
    let head = until(&mut stream, "event: begun").await.expect("it begins");
    assert!(head.contains("text/event-stream") && head.contains("no-store"), "{head}");
    server.service.happens.add_permits(1);
    let told = until(&mut stream, "event: changed").await.expect("it goes on");
    assert!(told.contains("id: 43\n"), "so that it goes on there: {told}");
    assert!(!told.contains("script"), "names are ours: {told}");
    let form = format!("form_token={}", browser.form_token);
    post(&mut connect(server.address).await, "/ui/sign-out", &format!("{}{OURS}", browser.cookie), &form)
        .await;
    until(&mut stream, "event: ended").await.expect("it is told");
    until(&mut stream, "never").await.expect_err("and it ends");
}

#[tokio::test]
async fn a_stream_goes_on_where_its_page_was_made() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let page = connect(server.address).await.ask("GET", "/ui/runs", &browser.cookie, b"").await;
    assert!(page.text().contains("data-live=\"/ui/live?after=43\""), "{}", page.text());
    for (after, asked, all) in [
        ("?after=40", "events Some(\"40\") 15000 200", false),
        ("?after=99", "events Some(\"43\") 15000 200", true),
        ("?after=%3Cb%3E", "events Some(\"43\") 15000 200", false),
    ] {
        server.service.asked();
        let mut stream = listen_after(&server, &browser, after).await;
        server.service.happens.add_permits(1);
        let told = until(&mut stream, "\"run:").await.expect("an event");
        assert!(server.service.asked().contains(&asked.to_string()), "{after}");
        assert_eq!(told.contains("[\"all\"]"), all, "{after}: {told}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token_at_shutdown_and_after_a_while() {
    let server = hostile(Options { stream: Duration::from_millis(50), ..Options::default() }).await;
    let browser = sign_in(&server, "agent-token").await;
    let mut stream = listen(&server, &browser).await;
    until(&mut stream, "never").await.expect_err("nobody reads for ever");

    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "agent-token").await;
    let mut stream = listen(&server, &browser).await;
    until(&mut stream, "event: begun").await.expect("it begins");
    server.service.revoked.store(true, Ordering::Relaxed);
    server.service.happens.add_permits(1);
    let told = until(&mut stream, "event: changed").await.expect_err("a revoked agent is told nothing more");
    assert!(told.contains("event: ended"), "but that: {told}");
    server.service.revoked.store(false, Ordering::Relaxed);
    assert_eq!(connect(server.address).await.ask("GET", "/ui", &browser.cookie, b"").await.status, 303);

    let browser = sign_in(&server, "agent-token").await;
    let mut stream = listen(&server, &browser).await;
    until(&mut stream, "event: begun").await.expect("it begins");
    server.closing.cancel();
    until(&mut stream, "never").await.expect_err("the server goes");
}

#[tokio::test]
async fn streams_beyond_their_number_are_refused_and_nobody_else_notices() {
    let server = hostile(Options { streams_max: 2, ..Options::default() }).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = listen(&server, &browser).await;
        until(&mut stream, "event: begun").await.expect("a place");
        held.push(stream);
    }
    let mut client = connect(server.address).await;
    let reply = client.ask("GET", "/ui/live", &browser.cookie, b"").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert_eq!(
        client.ask("GET", "/ui", &browser.cookie, b"").await.status,
        200,
        "pages are drawn all the same"
    );
    drop(held);
    server.service.happens.add_permits(64);
    let again = async {
        loop {
            let mut stream = listen(&server, &browser).await;
            if until(&mut stream, "\r\n\r\n").await.is_ok_and(|head| head.starts_with("HTTP/1.1 200")) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a closed page gives its place back");
}

#[tokio::test]
async fn an_artifact_is_data_whatever_it_says_it_is() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut client = connect(server.address).await;
    let reply = client.ask("GET", &filled("/ui/artifacts/{id}/download"), &browser.cookie, b"").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-disposition").expect("saved").starts_with("attachment"));
    assert_eq!(reply.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    let reply = client.ask("GET", &filled("/ui/artifacts/{id}/image"), &browser.cookie, b"").await;
    assert_eq!(reply.status, 404, "octets are no picture");
}

#[tokio::test]
async fn a_picture_streams_in_its_sandbox() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut stream = TcpStream::connect(server.address).await.expect("connects");
    let path = format!("/ui/artifacts/{}/image", fake::picture());
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", browser.cookie);
    stream.write_all(request.as_bytes()).await.expect("sent");
    let head =
        until(&mut stream, "\r\n\r\n").await.expect("the head, before the blob gives its second piece");
    let head = head.to_ascii_lowercase();
    for line in ["content-type: image/png\r\n", "content-security-policy: default-src 'none'; sandbox\r\n"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("content-disposition"), "a picture is drawn, not saved: {head}");
    server.service.happens.add_permits(1);
    let end = String::from_utf8_lossy(&fake::CONTENT[fake::CONTENT.len() - 3..]).into_owned();
    until(&mut stream, &end).await.expect("the rest");
}

#[tokio::test]
async fn a_strangers_form_is_small_and_no_form_has_many_fields() {
    let server = hostile(Options::default()).await;
    let mut client = connect(server.address).await;
    let large = format!("token={}", "x".repeat(16 << 10));
    assert_eq!(post(&mut client, "/ui/sign-in", OURS, &large).await.status, 413);
    let browser = sign_in(&server, "operator-token").await;
    let headers = format!("{OURS}{}", browser.cookie);
    let mut client = connect(server.address).await;
    let many = format!("form_token={}{}", browser.form_token, "&".repeat(64));
    assert_eq!(post(&mut client, "/ui/sign-out", &headers, &many).await.status, 400);
    let few = format!("form_token={}{}", browser.form_token, "&".repeat(63));
    assert_eq!(post(&mut client, "/ui/sign-out", &headers, &few).await.status, 303);
}

#[tokio::test]
async fn where_nothing_was_found_a_page_says_what_was_looked_at() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut client = connect(server.address).await;
    let reply = client.ask("GET", "/ui/events?name=xyn.none&before=5000", &browser.cookie, b"").await;
    assert!(reply.text().contains("None among the 2,000 entries that were looked at"), "{}", reply.text());
    assert!(reply.text().contains("/ui/events?before=3000&#38;name=xyn.none"), "{}", reply.text());
    let reply = client.ask("GET", "/ui/events?name=xyn.none", &browser.cookie, b"").await;
    assert!(reply.text().contains("No event here is like that"), "{}", reply.text());
    let reply = client.ask("GET", "/ui/tasks?capability=rare", &browser.cookie, b"").await;
    assert!(reply.text().contains("None among those that were looked at so far"), "{}", reply.text());
    assert!(!reply.text().contains("No task here is like that"), "{}", reply.text());
}

#[tokio::test]
async fn what_opens_a_leaf_is_for_whom_its_entry_concerns() {
    let server = hostile(Options::default()).await;
    for (token, is_opened) in [("operator-token", true), ("agent-token", false)] {
        let browser = sign_in(&server, token).await;
        let mut client = connect(server.address).await;
        let reply = client.ask("GET", "/ui/audit/42/proof", &browser.cookie, b"").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let json = reply.json();
        assert!(json["leaf"].is_string() && json["proof"].is_string(), "{json}");
        assert_eq!(json["body"].is_string() && json["salt"].is_string(), is_opened, "{json}");
    }
}

#[tokio::test]
async fn a_stream_that_cannot_keep_up_says_that_everything_changed() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut stream = listen_after(&server, &browser, "?after=3").await;
    until(&mut stream, "id: 43\nevent: changed\ndata: [\"all\"]\n\n").await.expect("told");
}

#[tokio::test]
async fn an_agent_sees_what_it_has_not_read_and_says_that_it_has() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "agent-token").await;
    let mut client = connect(server.address).await;
    server.service.asked();
    let page = client.ask("GET", "/ui", &browser.cookie, b"").await;
    let asked = server.service.asked();
    assert!(
        asked.contains(&"notifications None [] 12".into()),
        "as GET /v1/notifications has them: {asked:?}"
    );
    let page = page.text();
    assert!(page.contains(r#"data-testid="notice""#) && page.contains("task available"), "{page}");
    assert!(page.contains(r#"name="up_to" value="57.ab""#) && page.contains("mark-read"), "{page}");
    let path = "/ui/notices/read";
    let headers = format!("{}{OURS}", browser.cookie);
    let reply = post(&mut client, path, &headers, "form_token=guessed&up_to=57.ab").await;
    assert_eq!((reply.status, server.service.asked()), (403, vec!["refused agent forbidden".to_owned()]));
    let form = format!("form_token={}&up_to=57.ab", browser.form_token);
    let reply = post(&mut client, path, &headers, &form).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/ui")), "{}", reply.text());
    assert!(server.service.asked().contains(&"read 57.ab".into()));
    // The operator is told nothing, and has nothing to mark.
    let operator = sign_in(&server, "operator-token").await;
    let form = format!("form_token={}&up_to=57.ab", operator.form_token);
    let reply = post(&mut client, path, &format!("{}{OURS}", operator.cookie), &form).await;
    assert_eq!(reply.status, 403, "{}", reply.text());
}

#[tokio::test]
async fn a_list_of_notices_that_goes_on_is_followed_and_never_called_empty() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "agent-token").await;
    let mut client = connect(server.address).await;
    let mut look = async |bare_looks: u32| {
        server.service.bare_looks.store(bare_looks, Ordering::Relaxed);
        server.service.asked();
        let page = client.ask("GET", "/ui", &browser.cookie, b"").await.text().to_owned();
        let asked = server.service.asked().into_iter().filter(|asked| asked.starts_with("notifications "));
        (page, asked.collect::<Vec<_>>())
    };
    let (page, asked) = look(2).await;
    let after = |cursor: &str| format!("notifications Some(\"{cursor}\") [] 12");
    assert_eq!(asked, ["notifications None [] 12".to_owned(), after("2.ab"), after("1.ab")]);
    assert!(page.contains(r#"data-testid="notice""#) && page.contains(r#"value="57.ab""#), "{page}");
    let (page, asked) = look(9).await;
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(page.contains("the list goes on") && !page.contains("Nothing new. "), "{page}");
    assert!(page.contains(r#"name="up_to" value="6.ab""#) && page.contains("mark-read"), "{page}");
}

#[tokio::test]
async fn a_page_asks_for_the_names_that_it_shows_and_for_no_others() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut client = connect(server.address).await;
    let mut named = 0;
    for path in looked_at() {
        server.service.asked();
        assert_eq!(client.ask("GET", &path, &browser.cookie, b"").await.status, 200, "{path}");
        let asked = server.service.asked();
        let names: Vec<_> = asked.iter().filter(|asked| asked.starts_with("names ")).collect();
        assert!(names.len() <= 1 && names.iter().all(|names| *names == "names 1"), "{path}: {names:?}");
        named += names.len();
        let reads_all = asked.iter().any(|asked| asked == "agents");
        assert!(path == "/ui/agents" || !reads_all, "{path} reads all agents");
    }
    assert!(named >= 4, "{named} pages show names");
}

#[tokio::test]
async fn an_invitation_is_shown_once_in_the_answer_to_its_form_and_to_the_operator_alone() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut client = connect(server.address).await;
    let headers = format!("{}{OURS}", browser.cookie);
    let form = format!("form_token={}&uses=3&hours=168", browser.form_token);
    let reply = post(&mut client, "/ui/invitations", &headers, &form).await;
    assert_eq!((reply.status, reply.header("location")), (200, None), "{}", reply.text());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.text().contains("artel-invitation-1:AA") && reply.text().contains("lets in 3 nodes"));
    assert!(was_asked(&server, "invite Some(3) Some(604800000)"));
    assert_tested("/ui/invitations", reply.text());
    let list = client.ask("GET", "/ui/invitations", &browser.cookie, b"").await;
    assert!(!list.text().contains("artel-invitation-1:"), "{}", list.text());
    let take_back = list.text().split("action=\"").find(|form| form.starts_with("/ui/invitations/sha256:"));
    let take_back = take_back.and_then(|form| form.split('"').next()).expect("a form").to_owned();
    for (path, fields) in [("/ui/invitations", "uses=1"), (take_back.as_str(), "")] {
        let unsigned = post(&mut client, path, &headers, fields).await;
        assert_eq!(unsigned.status, 403, "{path} without its form token");
    }
    for uses in ["none", "", "-1", "4294967296"] {
        let form = format!("form_token={}&uses={uses}", browser.form_token);
        let reply = post(&mut client, "/ui/invitations", &headers, &form).await;
        assert!(reply.status == 422 && reply.text().contains("role=\"alert\""), "{uses}: {}", reply.text());
    }
    let reply = post(&mut client, &take_back, &headers, &format!("form_token={}", browser.form_token)).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/ui/invitations")));
    assert!(was_asked(&server, "uninvite sha256:"));

    let agent = sign_in(&server, "agent-token").await;
    let headers = format!("{}{OURS}", agent.cookie);
    for path in ["/ui/invitations", take_back.as_str()] {
        let form = format!("form_token={}&uses=1", agent.form_token);
        assert_eq!(post(&mut client, path, &headers, &form).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn more_artifacts_than_a_page_has_are_reached_from_their_run_and_their_step() {
    let server = hostile(Options::default()).await;
    let browser = sign_in(&server, "operator-token").await;
    let mut client = connect(server.address).await;
    let (run, step) = (fake::run(), fake::task());
    for (path, more) in [
        (format!("/ui/runs/{run}"), format!("/ui/artifacts?run_id={run}&#38;cursor=50-0")),
        (format!("/ui/runs/{run}/steps/{step}"), format!("/ui/artifacts?step_id={step}&#38;cursor=50-0")),
    ] {
        let reply = client.ask("GET", &path, &browser.cookie, b"").await;
        assert!(reply.text().contains(&format!("href=\"{more}\"")), "{path}: {}", reply.text());
        let reply = client.ask("GET", &more.replace("&#38;", "&"), &browser.cookie, b"").await;
        assert_eq!(reply.status, 200, "{more}: {}", reply.text());
    }
    assert!(was_asked(&server, &format!("artifacts None Some({step:?})")));
}

#[tokio::test]
async fn the_ledger_says_what_other_homes_paid_and_how_they_keep_their_word() {
    let server = hostile(Options::default()).await;
    for (token, said) in
        [("operator-token", ["Redeemed", ">40.5<"]), ("agent-token", ["paid elsewhere", ">7.5<"])]
    {
        let browser = sign_in(&server, token).await;
        let mut client = connect(server.address).await;
        let reply = client.ask("GET", "/ui/ledger", &browser.cookie, b"").await;
        for text in said {
            assert!(reply.text().contains(text), "{token}, {text}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn how_the_log_grew_is_for_whoever_is_signed_in() {
    let server = hostile(Options::default()).await;
    let path = "/ui/audit/consistency?from=3&to=42";
    let mut client = connect(server.address).await;
    assert_eq!(client.ask("GET", path, "", b"").await.status, 303);
    let browser = sign_in(&server, "agent-token").await;
    let reply = client.ask("GET", path, &browser.cookie, b"").await;
    assert_eq!(reply.json()["hashes"][0].as_str().map(str::len), Some(44), "{}", reply.text());
    assert!(was_asked(&server, "consistency 3 42"));
    let reply = client.ask("GET", "/ui/audit/consistency?from=3", &browser.cookie, b"").await;
    assert_eq!(reply.status, 400, "{}", reply.text());
}
