//! Which names a request may use for this node, and from which pages it may come. Without this a page that a browser
//! on this machine visits could reach a node on loopback under a name of its own (DNS rebinding).

use crate::problem::{Code, Problem};
use axum::http::{HeaderMap, Uri, header};
use std::net::IpAddr;

/// The node's names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Names beside loopback and the addresses that connections come in on; without ports.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Names(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Checks `Host` (and the host of an absolute request target) and `Origin`.
    ///
    /// # Errors
    /// [`Code::HostNotAllowed`] or [`Code::OriginNotAllowed`].
    pub fn check(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> Result<(), Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Problem::edge(Code::HostNotAllowed));
        };
        let host = host.to_str().unwrap_or_default();
        if !self.knows(host, local) || uri.authority().is_some_and(|a| !self.knows(a.as_str(), local)) {
            return Err(Problem::edge(Code::HostNotAllowed));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default();
        let authority =
            origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).unwrap_or_default();
        // A page of this very listener, or of a name that the operator vouches for. Another port of this machine is
        // another page.
        if !authority.is_empty()
            && (authority.eq_ignore_ascii_case(host) || self.is_configured(bare(authority)))
        {
            return Ok(());
        }
        Err(Problem::edge(Code::OriginNotAllowed))
    }

    fn knows(&self, authority: &str, local: IpAddr) -> bool {
        let host = bare(authority);
        if host.eq_ignore_ascii_case("localhost") || self.is_configured(host) {
            return true;
        }
        // A literal address cannot be rebound; it must be the one that was really connected to.
        let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        literal.parse::<IpAddr>().is_ok_and(|ip| {
            let (ip, local) = (ip.to_canonical(), local.to_canonical());
            ip == local || ip.is_loopback() && local.is_loopback()
        })
    }

    fn is_configured(&self, host: &str) -> bool {
        self.0.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// An authority's host without its port.
fn bare(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hosts: &[&str], origin: Option<&str>, local: &str) -> Result<(), Code> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().expect("a value"));
        }
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a value"));
        }
        let names = Names::new(["Node.example".to_string()]);
        names.check(&Uri::from_static("/"), &headers, local.parse().expect("an address")).map_err(|p| p.code)
    }

    #[test]
    fn only_our_names_are_hosts() {
        for (host, local, ok) in [
            ("127.0.0.1:8080", "127.0.0.1", true),
            ("localhost:1", "127.0.0.1", true),
            ("LOCALHOST", "::1", true),
            ("[::1]:80", "::1", true),
            ("[::1]:80", "127.0.0.1", true),
            ("127.0.0.2", "127.0.0.1", true),
            ("node.example", "10.0.0.5", true),
            ("node.example:443", "10.0.0.5", true),
            ("10.0.0.5:443", "10.0.0.5", true),
            ("10.0.0.5:443", "::ffff:10.0.0.5", true),
            ("10.0.0.6", "10.0.0.5", false),
            ("127.0.0.1", "10.0.0.5", false),
            ("evil.example", "127.0.0.1", false),
            ("node.example.evil", "127.0.0.1", false),
            ("", "127.0.0.1", false),
            ("node.example:80:80", "127.0.0.1", false),
        ] {
            assert_eq!(check(&[host], None, local).is_ok(), ok, "{host} at {local}");
        }
        assert_eq!(check(&[], None, "127.0.0.1"), Err(Code::HostNotAllowed));
        assert_eq!(check(&["localhost", "localhost"], None, "127.0.0.1"), Err(Code::HostNotAllowed));
    }

    #[test]
    fn only_our_pages_are_origins() {
        for (origin, ok) in [
            ("http://127.0.0.1:8080", true),
            ("https://127.0.0.1:8080", true),
            ("https://node.example", true),
            ("https://node.example:9443", true),
            ("http://127.0.0.1:3000", false),
            ("http://localhost:8080", false),
            ("https://evil.example", false),
            ("null", false),
            ("", false),
            ("file://", false),
            ("http://", false),
        ] {
            assert_eq!(check(&["127.0.0.1:8080"], Some(origin), "127.0.0.1").is_ok(), ok, "{origin}");
        }
    }
}
