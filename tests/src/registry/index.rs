//! The read side: `config.json`, index files, downloads.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Request, State as Shared},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{KELLNR, LOGIN, Options, State, Version};

pub(super) async fn config(state: Shared<Arc<State>>, headers: HeaderMap) -> Response {
    match elsewhere(&state, "config.json") {
        Some(redirect) => redirect,
        None => config_here(state, headers).await,
    }
}

/// One line of JSON for each version, with an `ETag` over the whole.
pub(super) async fn file(state: Shared<Arc<State>>, path: Path<String>, headers: HeaderMap) -> Response {
    match elsewhere(&state, &path) {
        Some(redirect) => redirect,
        None => file_here(state, path, headers).await,
    }
}

/// The index below the web API, which no other route has.
pub(super) async fn kellnr(state: Shared<Arc<State>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    match path.strip_prefix(KELLNR).filter(|_| state.lock().options.like_kellnr) {
        Some("config.json") => config(state, request.headers().clone()).await,
        Some(rest) => file(state, Path(rest.to_owned()), request.headers().clone()).await,
        None => (StatusCode::NOT_FOUND, "no such page").into_response(),
    }
}

fn elsewhere(state: &State, path: &str) -> Option<Response> {
    let place = state.lock().options.index_leads_to.clone()?;
    Some(if place.is_empty() {
        StatusCode::MULTIPLE_CHOICES.into_response()
    } else {
        (StatusCode::FOUND, [("location", format!("{place}{path}"))]).into_response()
    })
}

pub(super) async fn config_here(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = state.refuse_read(&headers) {
        return refusal;
    }
    let options = state.lock().options.clone();
    if options.without_config {
        return (StatusCode::NOT_FOUND, "no such file").into_response();
    }
    let base = options.origin.as_ref().unwrap_or(&state.base);
    let folder = if options.like_kellnr { KELLNR } else { "/" };
    let mut config = json!({"dl": format!("{base}{folder}dl/{{crate}}/{{version}}/download"), "api": base});
    if options.auth_required {
        config["auth-required"] = true.into();
    }
    if let Some(store) = options.attestations {
        config["attestations"] = store.into();
    }
    Json(config).into_response()
}

pub(super) async fn file_here(
    Shared(state): Shared<Arc<State>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = state.refuse_read(&headers) {
        return refusal;
    }
    let inner = state.lock();
    let found = inner.crates.iter().find(|(name, _)| index_path(name) == path);
    let Some((_, versions)) = found else {
        return (StatusCode::NOT_FOUND, "no such crate").into_response();
    };
    let written = inner
        .options
        .index_files
        .iter()
        .find(|(name, _)| index_path(name) == path);
    let text = written.map_or_else(|| lines(versions), |(_, text)| text.clone());
    let tag = format!("\"{}\"", hex::encode(Sha256::digest(&text)));
    if headers.get("if-none-match").and_then(|value| value.to_str().ok()) == Some(&tag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    ([("etag", tag)], text).into_response()
}

pub(super) async fn download(
    Shared(state): Shared<Arc<State>>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = state.refuse_read(&headers) {
        return refusal;
    }
    state.lock().downloads += 1;
    while state.lock().options.holds_downloads {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let inner = state.lock();
    if let Some(elsewhere) = &inner.options.archives_at {
        let place = format!("{elsewhere}/dl/{name}/{version}/download");
        return (StatusCode::FOUND, [("location", place)]).into_response();
    }
    let published = inner.crates.get(&name).and_then(|versions| {
        versions
            .iter()
            .find(|published| published.line.get("vers").and_then(Value::as_str) == Some(&version))
    });
    match published {
        Some(published) => ([("content-type", "application/gzip")], published.bytes.clone()).into_response(),
        None => (StatusCode::NOT_FOUND, "no such version").into_response(),
    }
}

fn lines(versions: &[Version]) -> String {
    let mut lines: Vec<String> = versions.iter().map(|version| version.line.to_string()).collect();
    lines.push(String::new());
    lines.join("\n")
}

/// Where the index keeps a crate [the cargo book, "Index files"].
fn index_path(name: &str) -> String {
    let name = name.to_lowercase();
    match name.len() {
        1 => format!("1/{name}"),
        2 => format!("2/{name}"),
        3 => format!("3/{}/{name}", &name[..1]),
        _ => format!("{}/{}/{name}", &name[..2], &name[2..4]),
    }
}

impl State {
    fn refuse_read(&self, headers: &HeaderMap) -> Option<Response> {
        let Options {
            login_required,
            auth_required,
            ..
        } = self.lock().options;
        if login_required {
            let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
            let basic = format!("Basic {}", STANDARD.encode(LOGIN.replace("%3A", ":")));
            return (shown != Some(&basic)).then(|| {
                let challenge = [("www-authenticate", "Basic realm=\"registry\"")];
                (StatusCode::UNAUTHORIZED, challenge, "who are you?").into_response()
            });
        }
        (auth_required && !self.knows(headers)).then(|| {
            (
                StatusCode::UNAUTHORIZED,
                [("www-authenticate", "Cargo login_url=\"http://127.0.0.1/me\"")],
                "this registry shows itself only to people it knows",
            )
                .into_response()
        })
    }

    /// Whether the request shows the token.
    pub(super) fn knows(&self, headers: &HeaderMap) -> bool {
        headers.get("authorization").and_then(|value| value.to_str().ok()) == Some(&self.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_paths_are_cargos() {
        assert_eq!(index_path("a"), "1/a");
        assert_eq!(index_path("ab"), "2/ab");
        assert_eq!(index_path("abc"), "3/a/abc");
        assert_eq!(index_path("Crockford"), "cr/oc/crockford");
    }
}
