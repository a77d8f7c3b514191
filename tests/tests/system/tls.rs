//! A node that other machines reach: TLS, the name that it says it has, and what the command line makes of its certificate.

use crate::{artel, fresh};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use std::fs;
use std::path::{Path, PathBuf};

/// A self-signed certificate with its key, in files.
struct Certificate {
    chain: PathBuf,
    key: PathBuf,
}

fn certificate(dir: &Path, name: &str, change: impl Fn(&mut CertificateParams)) -> Certificate {
    let pair = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    change(&mut params);
    let made = params.self_signed(&pair).expect("a certificate");
    let (chain, key) = (dir.join("cert.pem"), dir.join("cert.key"));
    fs::write(&chain, made.pem()).expect("written");
    fs::write(&key, pair.serialize_pem()).expect("written");
    Certificate { chain, key }
}

/// A node on all addresses with this certificate, under the name `localhost`.
fn up(data: &Path, with: &Certificate) -> artel_tests::Node {
    let up = artel().up(data).http("0.0.0.0:0").set("public_hosts", "localhost");
    up.set("tls_cert", with.chain.display()).set("tls_key", with.key.display()).start()
}

#[test]
fn a_command_finds_a_node_on_all_addresses_by_its_directory() {
    let dir = fresh();
    let made = certificate(dir.path(), "localhost", |_| {});
    let data = dir.path().join("node");
    let node = up(&data, &made);
    let (scheme, port) = node.url().rsplit_once(':').expect("a port");
    assert_eq!(
        scheme, "https://localhost",
        "a name that can be connected to, and that the certificate is for"
    );
    assert_ne!(port, "0");
    assert_eq!(fs::read_to_string(data.join("http.url")).expect("the address"), node.url());
    let listed = artel().run(["agent", "list", "--json", "--data"].map(Path::new).into_iter().chain([
        data.as_path(),
        Path::new("--ca"),
        &made.chain,
    ]));
    assert_eq!(listed.json()["items"], serde_json::json!([]), "{listed:?}");
    let done = artel().run([Path::new("status"), Path::new("--data"), &data]);
    done.failed_saying(&[node.url(), "--ca FILE"]);
}

#[test]
fn a_node_on_all_addresses_without_a_name_is_called_by_loopback() {
    let dir = fresh();
    for (listen, url) in [("0.0.0.0:0", "http://127.0.0.1:"), ("[::]:0", "http://[::1]:")] {
        let data = dir.path().join(listen.len().to_string());
        let node = match artel().up(&data).http(listen).set("plain_http", true).try_start() {
            Ok(node) => node,
            Err(done) if listen.starts_with('[') => {
                println!("not tried: this machine has no IPv6: {}", done.stderr);
                continue;
            }
            Err(done) => panic!("{done:?}"),
        };
        assert!(node.url().starts_with(url), "{}", node.url());
        assert_eq!(node.anonymous().get("/v1/health").status, 200);
    }
}

#[test]
fn a_certificate_that_is_not_taken_comes_with_what_to_do() {
    type Change = fn(&mut CertificateParams);
    let rows: [(&str, Change, &[&str]); 3] = [
        ("node.example", |_| {}, &["not valid for name", "--node https://NAME:PORT"]),
        (
            "localhost",
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            &["CaUsedAsEndEntity", "basicConstraints=CA:FALSE"],
        ),
        ("localhost", |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1), &["expired", "renew"]),
    ];
    for (name, change, said) in rows {
        let dir = fresh();
        let made = certificate(dir.path(), name, change);
        let data = dir.path().join("node");
        let _node = up(&data, &made);
        let done =
            artel().run([Path::new("status"), Path::new("--data"), &data, Path::new("--ca"), &made.chain]);
        println!("{}", done.stderr.trim());
        done.failed_saying(said);
        assert!(!done.stderr.contains("--ca FILE"), "it was named: {}", done.stderr);
    }
}
