//! The smallest blocking HTTP client that tests need: one request, one connection, plain text on loopback.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::{Doing as _, Error};

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines as sent, without the status line.
    pub headers: String,
    /// Body bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// The body as JSON, `null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// `GET url`.
///
/// # Errors
/// The service cannot be reached, is silent for ten seconds, or does not answer in HTTP.
pub fn get(url: &str) -> Result<Answer, Error> {
    request("GET", url, &[], b"")
}

/// `POST url` with a JSON body.
///
/// # Errors
/// As [`get`].
pub fn post_json(url: &str, body: &serde_json::Value) -> Result<Answer, Error> {
    request(
        "POST",
        url,
        &[("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

/// Any request, as HTTP/1.0 so that the answer is never chunked.
///
/// # Errors
/// As [`get`].
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, Error> {
    let what = format!("{method} {url}");
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| Error::new(&what, "not a plain http URL"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut lines = vec![
        format!("{method} /{path} HTTP/1.0"),
        format!("host: {host}"),
        format!("content-length: {}", body.len()),
    ];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    let head = format!("{}\r\n\r\n", lines.join("\r\n"));
    let answer = exchange(host, head.as_bytes(), body).doing(&what)?;
    parse(&answer).ok_or_else(|| Error::new(what, "the answer is not HTTP"))
}

fn exchange(host: &str, head: &[u8], body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    stream.write_all(head)?;
    // A service that refuses by size answers and closes before it has read everything: the answer is what counts.
    drop(stream.write_all(body));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    Some(Answer {
        status: status_line.split(' ').nth(1)?.parse().ok()?,
        headers: headers.to_owned(),
        body: answer.get(end + 4..)?.to_vec(),
    })
}
