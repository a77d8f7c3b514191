//! The demo's guest, which surveys chunks: it is run as the program runs it, and compared with what was worked out a second time.

mod oracle;
mod secrets;

use crate::artel;
use artel_runner::{Given, Module, Options, Outcome, Runner, Step};
use secrets::FINDINGS_PER_FILE_MAX;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The guest, as it is committed.
const SURVEY: &[u8] = include_bytes!("../../../node/src/demo/guest/survey.wasm");
/// The largest file that is surveyed, and about how many bytes of files make a chunk here.
const FILE_BYTES_MAX: usize = 2 << 20;
const CHUNK_BYTES: usize = 1 << 20;

type File = (String, Vec<u8>);

async fn runner() -> Runner {
    let options = Options { program: Some(artel().path().to_owned()), ..Options::default() };
    Runner::start(options).await.expect("it starts")
}

async fn run(runner: &Runner, chunk: Vec<u8>) -> Outcome {
    let mut step = Step::new(Module::new(SURVEY), r#"{"artifacts":{"chunk":"sha256:00"}}"#);
    step.artifacts.push(Given { name: "chunk".into(), bytes: chunk.into() });
    runner.run(step).await
}

/// A chunk as the demo writes it.
fn pack(files: &[File]) -> Vec<u8> {
    let part = |(path, bytes): &File| format!(r#"{{"path":{},"bytes":{}}}"#, json!(path), bytes.len());
    let list: Vec<String> = files.iter().map(part).collect();
    let mut packed = format!("[{}]\n", list.join(",")).into_bytes();
    files.iter().for_each(|(_, bytes)| packed.extend_from_slice(bytes));
    packed
}

/// Surveys files in the sandbox and asserts that it says what the oracle says.
async fn check(runner: &Runner, files: &[File]) -> Value {
    let outcome = run(runner, pack(files)).await;
    let Outcome::Done { output, .. } = outcome else { panic!("{outcome:?}") };
    let wanted = oracle::survey(files);
    if output != wanted {
        let (got, wanted): (Value, Value) =
            (serde_json::from_str(&output).expect("JSON"), serde_json::from_str(&wanted).expect("JSON"));
        for (at, (path, content)) in files.iter().enumerate() {
            let head = String::from_utf8_lossy(&content[..content.len().min(300)]);
            assert_eq!(got["files"][at], wanted["files"][at], "{path}: {head:?}");
        }
        assert_eq!(got, wanted);
        panic!("the same value in another form: {output}");
    }
    serde_json::from_str(&output).expect("JSON")
}

fn own_files(dir: &Path, below: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(dir.join(below)).expect("a directory").map(|entry| entry.expect("an entry")) {
        let name = entry.file_name().into_string().expect("UTF-8");
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() && name != ".git" && name != "target" {
            own_files(dir, &path, files);
        } else if kind.is_file() {
            let content = fs::read(entry.path()).expect("a file");
            files.extend((content.len() <= FILE_BYTES_MAX).then_some((path, content)));
        }
    }
}

#[tokio::test]
async fn this_repository_s_own_files_are_surveyed_as_the_oracle_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let mut files = Vec::new();
    own_files(root, "", &mut files);
    assert!(files.len() > 300, "{} files", files.len());
    let runner = runner().await;
    let (mut chunk, mut bytes, mut chunks) = (Vec::new(), 0, 0);
    for file in files {
        bytes += file.1.len();
        chunk.push(file);
        if bytes >= CHUNK_BYTES || chunk.len() == 256 {
            check(&runner, &chunk).await;
            (chunk, bytes, chunks) = (Vec::new(), 0, chunks + 1);
        }
    }
    check(&runner, &chunk).await;
    assert!(chunks > 2, "{chunks} chunks");
}

#[tokio::test]
async fn odd_files_are_surveyed_as_the_oracle_does() {
    let long = "x".repeat(3_000_000 / 2);
    let key = ["AKI", "AIOSFODNN7EXAMPLE"].concat();
    let odd: [(&str, &[u8]); 26] = [
        ("empty", b""),
        ("no-end.rs", b"fn a() {}"),
        ("crlf.txt", b"one\r\ntwo\r\n\r\nlast\r"),
        ("only-cr.txt", b"a\rb\rc\r"),
        ("ends.md", b"\n\n\n"),
        ("Makefile", b"all:\n\ttrue\n"),
        ("a/b.c/Makefile", b"x"),
        ("a.b/c", b"x"),
        (".gitignore", b"x\n"),
        ("x.RS", b"x\n"),
        ("x.", b"x\n"),
        (".rs", b"x\n"),
        ("with \"quotes\" and \\.py", b"print()\n"),
        ("line\nend\ttab\u{7f}\u{1}.toml", b"[a]\n"),
        (
            "\u{447}\u{430}\u{441}\u{442}\u{44c}/\u{65e5}\u{672c}.md",
            "zw\u{f6}lf \u{1f600}\n\u{65e5}\n".as_bytes(),
        ),
        ("bad.txt", b"\xff\xfe\nabc\xe2\x82\n\xf0\x9f\x98"),
        (
            "bad2.txt",
            b"\xc0\xaf\xe0\x80\x80\xed\xa0\x80\xf4\x90\x80\x80\xf8\x88\n\xe2\x28\xa1\xf0\x90\x28\xbc\x80\xc2",
        ),
        ("bad3.txt", b"\xe1\xa0\xc1\xbf\xee\x80\x80\xef\xbf\xbd\xf1\x80\x80\n\xf3\xbf\xbf\xbf"),
        ("nul.bin", b"a\0b\n\0\n"),
        ("long.js", long.as_bytes()),
        ("secret.toml", key.as_bytes()),
        ("longer.txt", b"0123456789abcdef0123456789abcdef0123456789abcdef0123456"),
        ("block.txt", b"0123456789abcdef0123456789abcdef0123456789abcdef01234567"),
        ("whole.txt", b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        ("bits.txt", b"\x80\xbf\xc2\n"),
        ("last", b"\n"),
    ];
    let files: Vec<File> = odd.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
    let runner = runner().await;
    let said = check(&runner, &files).await;
    assert_eq!(said["files"].as_array().map(Vec::len), Some(odd.len()));
    assert_eq!(said["files"][20]["secrets"][0]["masked"], "AKIA\u{2026} (20 characters)");
    check(&runner, &[]).await;
    // The largest file there may be, of bytes that all become three.
    check(&runner, &[("huge".to_owned(), vec![0xff; FILE_BYTES_MAX])]).await;
}

/// Lines and the kinds that are found in them. Put together here, so that no scanner takes this file for a leak.
fn lines() -> Vec<(String, &'static [&'static str])> {
    let made = |parts: &[&str]| parts.concat();
    let random = "a8Fk2LqZ9xRt4VbN7mPw3CyD6eHj1SgU5oIuT0XK";
    let value = made(&["hT7zQ2mV", "9cXkP4sLr8WnB1yDf6Gj"]);
    let hex = made(&["9f86d081884c7d65", "9a2feaa0c55ad015"]);
    let aws = made(&["AKI", "AIOSFODNN7EXAMPLE"]);
    let sounding: &[&str] = &["random value of a secret name"];
    vec![
        (aws.clone(), &["AWS access key"]),
        (format!("{aws} {aws},{aws}"), &["AWS access key", "AWS access key", "AWS access key"]),
        (format!("token: {}", made(&["gh", "p_", random])), &["GitHub token"]),
        (made(&["github", "_pat_", random, random]), &["GitHub token"]),
        (made(&["gl", "pat-", random]), &["GitLab token"]),
        (made(&["xox", "b-", random]), &["Slack token"]),
        (made(&["AI", "za", random]), &["Google API key"]),
        (made(&["sk_", "live_", random]), &["Stripe key"]),
        (made(&["np", "m_", random]), &["npm token"]),
        (made(&["py", "pi-", random, random]), &["PyPI token"]),
        (made(&["-----BEGIN OPENSSH ", "PRIVATE KEY-----"]), &["private key"]),
        (made(&["x -----BEGIN ", "PRIVATE KEY----- y"]), &["private key"]),
        (made(&["-----BEGIN PGP ", "PRIVATE KEY BLOCK-----"]), &["private key"]),
        (made(&["ey", "JhbGciOiJFZERTQSJ9.", random, ".", random]), &["JSON web token"]),
        (made(&["ey", "JhbGciOiJFZERTQSJ9.", random, random]), &[]),
        (format!("password = \"{value}\""), sounding),
        (format!("API_KEY: {value}"), sounding),
        (format!("  \"client_secret\": \"{hex}\","), sounding),
        (format!("export AUTH_TOKEN={value}"), sounding),
        (format!("secret => `{value}`"), sounding),
        (format!("secret = {value}(1)"), &[]),
        (format!("secret = {}", &value[..19]), &[]),
        (format!("secret = {}", &hex[..31]), &[]),
        (format!("nothing = {value}"), &[]),
        ("let token = self.session.client().await.token();".into(), &[]),
        ("password = \"correct horse battery staple\"".into(), &[]),
        ("token_expires_at: DateTime2026WithManyLetters".into(), &[]),
        (format!("checksum = \"{hex}{}\"", &hex[..16]), &[]),
        ("secret: 11111111111111111111111111111111".into(), &[]),
        ("-----BEGIN PUBLIC KEY-----".into(), &[]),
        ("-----BEGIN CERTIFICATE-----".into(), &[]),
        (format!("foo{aws}"), &[]),
        (format!("{aws}andmore"), &[]),
        ("ghp_short".into(), &[]),
        ("\u{43a}\u{43b}\u{44e}\u{447}=ghp_\u{e9}".into(), &[]),
        ("token=\u{e9}".into(), &[]),
        ("=".into(), &[]),
        (":".into(), &[]),
        ("secret:".into(), &[]),
        ("-----BEGIN ".into(), &[]),
        ("eyJ...".into(), &[]),
        ("\u{e9} AKIA \u{e9}".into(), &[]),
        (format!("{}{aws}", " ".repeat(4_096 - 20)), &["AWS access key"]),
        (format!("{}{aws}", " ".repeat(4_096 - 19)), &[]),
    ]
}

#[tokio::test]
async fn what_looks_like_a_secret_is_found_and_not_repeated() {
    let runner = runner().await;
    let lines = lines();
    let files: Vec<File> =
        lines.iter().map(|(line, _)| ("a".to_owned(), format!("one\n{line}\n").into_bytes())).collect();
    let said = check(&runner, &files).await;
    for (at, (line, wanted)) in lines.iter().enumerate() {
        let found = said["files"][at]["secrets"].as_array().cloned().unwrap_or_default();
        let kinds: Vec<&str> = found.iter().map(|secret| secret["kind"].as_str().expect("a kind")).collect();
        assert_eq!(kinds, *wanted, "{line}");
        assert!(found.iter().all(|secret| secret["line"] == 2), "{line}");
    }
    let key = ["AKI", "AIOSFODNN7EXAMPLE"].concat();
    assert!(!said.to_string().contains(&key));
}

#[tokio::test]
async fn findings_are_bounded_and_the_rest_is_counted() {
    let line = ["AKI", "AIOSFODNN7EXAMPLE\n"].concat();
    let many = line.repeat(FINDINGS_PER_FILE_MAX + 5).into_bytes();
    let files: Vec<File> = (0..15).map(|n| (format!("{n}"), many.clone())).collect();
    let said = check(&runner().await, &files).await;
    assert_eq!(said["secrets_left_out"], 100);
}

#[tokio::test]
async fn what_is_no_chunk_is_refused_with_a_reason() {
    let runner = runner().await;
    let good = pack(&[("a".to_owned(), b"one\n".to_vec())]);
    let too_large = format!("[{{\"path\":\"a\",\"bytes\":{}}}]\n", FILE_BYTES_MAX + 1);
    let bad: [(&[u8], &str); 12] = [
        (&good[..good.len() - 1], "the chunk ends within a file"),
        (&[&good, &b"x"[..]].concat(), "bytes that belong to no file"),
        (b"", "no list of files"),
        (b"[]", "no list of files"),
        (&vec![b'['; 300_000], "no list of files"),
        (b"{}\n", "list of files is not one"),
        (b"[\n", "list of files is not one"),
        (b"[{\"path\":\"a\\\"\n", "list of files is not one"),
        (b"[{\"path\":\"a\",\"bytes\":}]\n", "list of files is not one"),
        (b"[{\"path\":\"a\",\"bytes\":18446744073709551615}]\n", "list of files is not one"),
        (too_large.as_bytes(), "list of files is not one"),
        (b"[] x\n", "something follows"),
    ];
    for (chunk, why) in bad {
        let outcome = run(&runner, chunk.to_vec()).await;
        let Outcome::Failed { log, .. } = &outcome else { panic!("{why}: {outcome:?}") };
        assert!(log.text().contains(why), "{why}: {}", log.text());
    }
    let outcome = runner.run(Step::new(Module::new(SURVEY), "{}")).await;
    let Outcome::Failed { log, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(log.text().contains("names no artifact"), "{}", log.text());
}
