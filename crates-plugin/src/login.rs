//! User name and password of the registry, where the URL of its index has them [RFC 7617].
//!
//! What the gate reads there it reads with them, unless the caller shows credentials of its own: index, archives, and what of the web API
//! is only read. No caller writes with them, no other origin is sent them, and nothing prints them.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::{Origin, Url};

/// A user name and a password, for one origin.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    origin: Origin,
    authorization: HeaderValue,
}

impl Login {
    /// Takes it out of a URL, which then has none; none when there was none.
    pub fn take_from(url: &mut Url) -> Option<Self> {
        let (name, password) = (url.username(), url.password());
        if name.is_empty() && password.is_none() {
            return None;
        }
        let mut plain = decoded(name);
        plain.push(b':');
        // Without a password it is empty [RFC 7617 §2].
        plain.extend(decoded(password.unwrap_or_default()));
        let mut authorization = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(plain))).ok()?;
        authorization.set_sensitive(true);
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        Some(Self {
            origin: url.origin(),
            authorization,
        })
    }

    /// Adds it to the headers of a request to this URL, where it belongs there and the caller has nothing of its own.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap, url: &Url) {
        if url.origin() == self.origin {
            headers
                .entry(header::AUTHORIZATION)
                .or_insert_with(|| self.authorization.clone());
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.origin.ascii_serialization())
    }
}

/// Percent-encoding undone [RFC 3986 §2.1]; what is none stays.
fn decoded(text: &str) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let digit = |byte: &u8| {
            char::from(*byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        if let (b'%', [high, low, after @ ..]) = (first, others)
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            plain.push((high << 4) | low);
            rest = after;
        } else {
            plain.push(*first);
            rest = others;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(login: &Login, url: &str, own: Option<&'static str>) -> Option<String> {
        let own = own.map(|own| (header::AUTHORIZATION, HeaderValue::from_static(own)));
        let mut headers: HeaderMap = own.into_iter().collect();
        login.add_to(&mut headers, &url.parse().unwrap());
        headers
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn it_is_for_its_origin_and_for_who_has_no_other() {
        let mut url: Url = "https://Aladdin:open%20sesame@r.example/index/".parse().unwrap();
        let login = Login::take_from(&mut url).unwrap();
        assert_eq!(url.as_str(), "https://r.example/index/");
        // the example of RFC 7617
        let basic = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        assert_eq!(shown(&login, "https://r.example/dl/a", None), basic);
        assert_eq!(shown(&login, "https://r.example:443/dl/a", None), basic);
        assert_eq!(
            shown(&login, "https://r.example/dl/a", Some("token")).as_deref(),
            Some("token")
        );
        for other in [
            "http://r.example/",
            "https://r.example:8443/",
            "https://r.example.org/",
            "https://r.example@evil.example/",
        ] {
            assert_eq!(shown(&login, other, None), None, "{other}");
        }
    }

    #[test]
    fn a_url_without_one_stays_and_none_is_printed() {
        let mut url: Url = "https://r.example/index/".parse().unwrap();
        assert_eq!(Login::take_from(&mut url), None);
        let mut url: Url = "https://:s3cret%@r.example/".parse().unwrap();
        let login = Login::take_from(&mut url).unwrap();
        assert_eq!(login.authorization, format!("Basic {}", STANDARD.encode(":s3cret%")));
        assert_eq!(format!("{login:?}"), "Login(https://r.example)");
        assert_eq!(format!("{:?}", login.authorization), "Sensitive");
    }
}
