//! Web origins that a key may be used from.

use http::Uri;

/// Whether `text` is an origin as browsers write it (RFC 6454 §6.2), `https://app.example.com`. A restriction in any other
/// spelling would never match.
pub fn is_web_origin(text: &str) -> bool {
    let (Some((scheme, host)), Ok(uri)) = (text.split_once("://"), text.parse::<Uri>()) else { return false };
    let written = uri.scheme_str() == Some(scheme) && uri.authority().is_some_and(|authority| authority == host);
    let default_port = matches!((scheme, uri.port_u16()), ("https", Some(443)) | ("http", Some(80)));
    let usual = text.bytes().all(|byte| !byte.is_ascii_uppercase() && byte != b'@') && !host.ends_with(':');
    written && usual && !default_port && text.len() <= 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_as_browsers_write_it() {
        for good in ["https://app.example.com", "http://localhost:3000", "chrome-extension://abc", "http://[::1]:8080"]
        {
            assert!(is_web_origin(good), "{good:?}");
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/a",
            "https://app.example.com?a",
            "https://App.example.com",
            "HTTPS://app.example.com",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://app.example.com:",
            "https://user@app.example.com",
            "https://a b",
            "https://a\r\nb",
        ] {
            assert!(!is_web_origin(bad), "{bad:?}");
        }
    }
}
