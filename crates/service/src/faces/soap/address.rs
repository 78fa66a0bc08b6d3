//! Where a client finds this server: what the WSDL gives as the address.

use axum::extract::NestedPath;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, header};

/// The server's URL as the client of this request sees it: of `Host`, of the path beneath which the face is mounted, and
/// of what a proxy adds only where it is trusted.
pub(super) fn server(parts: &Parts, trust_proxy: bool) -> String {
    let mounted = parts.extensions.get::<NestedPath>().map_or("", NestedPath::as_str);
    host(parts, trust_proxy) + mounted
}

fn host(parts: &Parts, trust_proxy: bool) -> String {
    let host = authority(header_value(&parts.headers, header::HOST.as_str()))
        .or_else(|| parts.uri.authority().cloned())
        .map_or_else(|| "localhost".to_owned(), |host| host.to_string());
    if !trust_proxy {
        return format!("http://{host}");
    }
    // Each proxy of a chain adds to these lists; the first is what the client saw.
    let first =
        |name: &str| header_value(&parts.headers, name).and_then(|value| value.split(',').next()).map(str::trim);
    let scheme = first("x-forwarded-proto").filter(|scheme| ["http", "https"].contains(scheme)).unwrap_or("http");
    let mut host = authority(first("x-forwarded-host")).map_or(host, |host| host.to_string());
    if let Some(port) = first("x-forwarded-port").and_then(|port| port.parse::<u16>().ok()) {
        let name = host.parse::<Authority>().map_or(host.clone(), |host| host.host().to_owned());
        let usual = if scheme == "https" { 443 } else { 80 };
        host = if port == usual { name } else { format!("{name}:{port}") };
    }
    let prefix = first("x-forwarded-prefix").filter(|prefix| is_path(prefix)).unwrap_or_default();
    format!("{scheme}://{host}{}", prefix.trim_end_matches('/'))
}

fn header_value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A host with or without port, and nothing else.
fn authority(text: Option<&str>) -> Option<Authority> {
    text?.trim().parse::<Authority>().ok().filter(|host| !host.as_str().contains('@') && !host.host().is_empty())
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(headers: &[(&str, &str)], trust_proxy: bool) -> String {
        let mut request = http::Request::builder().uri("/soap/v2?wsdl");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        server(&request.body(()).expect("a request").into_parts().0, trust_proxy)
    }

    #[test]
    fn a_proxy_counts_only_where_it_is_trusted() {
        let proxied = [
            ("host", "inner:8080"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example, inner"),
            ("x-forwarded-prefix", "/docket/"),
        ];
        assert_eq!(url(&proxied, false), "http://inner:8080");
        assert_eq!(url(&proxied, true), "https://api.example/docket");
        let port = [("host", "inner:8080"), ("x-forwarded-proto", "https"), ("x-forwarded-port", "8443")];
        assert_eq!(url(&port, true), "https://inner:8443");
        assert_eq!(url(&[("host", "a:1"), ("x-forwarded-port", "80")], true), "http://a");
    }

    #[test]
    fn what_is_no_host_is_not_shown() {
        assert_eq!(url(&[("host", "[::1]:80")], false), "http://[::1]:80");
        for wrong in ["a/b", "user@a", "a b", "<a>", ""] {
            assert_eq!(url(&[("host", wrong)], false), "http://localhost", "{wrong}");
        }
        assert_eq!(url(&[("host", "a"), ("x-forwarded-proto", "javascript")], true), "http://a");
        assert_eq!(url(&[("host", "a"), ("x-forwarded-prefix", "//\"evil")], true), "http://a");
    }
}
