//! The write side and what surrounds it: publish, yank, owners, search, and the record of requests.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, Request as Incoming, State as Shared},
    http::{HeaderMap, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Request, State, Version};

/// Query of a search.
#[derive(Debug, Deserialize)]
pub(super) struct SearchQuery {
    #[serde(default)]
    q: String,
    per_page: Option<usize>,
}

/// Body of an owner change.
#[derive(Debug, Deserialize)]
pub(super) struct OwnerChange {
    users: Vec<String>,
}

/// Notes every request with the status it got.
pub(super) async fn record(Shared(state): Shared<Arc<State>>, incoming: Incoming, next: Next) -> Response {
    let method = incoming.method().to_string();
    let path = incoming.uri().to_string();
    let authorization = incoming
        .headers()
        .get("authorization")
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let answer = next.run(incoming).await;
    state.lock().requests.push(Request {
        method,
        path,
        authorization,
        status: answer.status().as_u16(),
    });
    answer
}

/// Length, JSON, length, crate; lengths are `u32` little-endian.
pub(super) async fn publish(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    if !state.knows(&headers) {
        return refuse(StatusCode::FORBIDDEN, "this token may not publish");
    }
    let elsewhere = state.lock().options.uploads_lead_to.clone();
    if let Some(place) = elsewhere {
        return (StatusCode::TEMPORARY_REDIRECT, [("location", place)]).into_response();
    }
    let Some((metadata, archive)) = split(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "the body is not a publish request");
    };
    let Ok(Value::Object(metadata)) = serde_json::from_slice(metadata) else {
        return refuse(StatusCode::BAD_REQUEST, "the metadata is no JSON object");
    };
    let text = |name: &str| {
        metadata
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (name, version) = (text("name"), text("vers"));
    if name.is_empty() || version.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "name or version is missing");
    }
    let mut inner = state.lock();
    let versions = inner.crates.entry(name.clone()).or_default();
    if versions
        .iter()
        .any(|published| published.line["vers"] == version.as_str())
    {
        return refuse(
            StatusCode::CONFLICT,
            &format!("crate version `{version}` is already uploaded"),
        );
    }
    versions.push(Version {
        line: index_line(&metadata, archive),
        bytes: archive.to_vec(),
    });
    inner.owners.entry(name).or_insert_with(|| vec!["ferris".to_owned()]);
    Json(json!({"warnings": {"invalid_categories": [], "invalid_badges": [], "other": []}})).into_response()
}

pub(super) async fn yank(
    Shared(state): Shared<Arc<State>>,
    path: Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    set_yanked(&state, &path, &headers, true)
}

pub(super) async fn unyank(
    Shared(state): Shared<Arc<State>>,
    path: Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    set_yanked(&state, &path, &headers, false)
}

pub(super) async fn owners(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !state.knows(&headers) {
        return refuse(StatusCode::FORBIDDEN, "this token may not see owners");
    }
    let inner = state.lock();
    let Some(owners) = inner.owners.get(&name) else {
        return refuse(StatusCode::NOT_FOUND, "no such crate");
    };
    let users: Vec<Value> = owners
        .iter()
        .enumerate()
        .map(|(index, login)| json!({"id": index + 1, "login": login, "name": null}))
        .collect();
    Json(json!({"users": users})).into_response()
}

pub(super) async fn add_owners(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(change): Json<OwnerChange>,
) -> Response {
    change_owners(&state, &name, &headers, |owners| {
        owners.extend(change.users.iter().cloned());
        owners.sort();
        owners.dedup();
    })
}

pub(super) async fn remove_owners(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(change): Json<OwnerChange>,
) -> Response {
    change_owners(&state, &name, &headers, |owners| {
        owners.retain(|owner| !change.users.contains(owner));
    })
}

pub(super) async fn search(Shared(state): Shared<Arc<State>>, Query(query): Query<SearchQuery>) -> Response {
    let inner = state.lock();
    let found: Vec<Value> = inner
        .crates
        .iter()
        .filter(|(name, _)| name.contains(&query.q))
        .filter_map(|(name, versions)| {
            let newest = versions.last()?.line["vers"].clone();
            Some(json!({"name": name, "max_version": newest, "description": ""}))
        })
        .collect();
    let total = found.len();
    let page: Vec<Value> = found.into_iter().take(query.per_page.unwrap_or(10)).collect();
    Json(json!({"crates": page, "meta": {"total": total}})).into_response()
}

fn set_yanked(
    state: &State,
    Path((name, version)): &Path<(String, String)>,
    headers: &HeaderMap,
    yanked: bool,
) -> Response {
    if !state.knows(headers) {
        return refuse(StatusCode::FORBIDDEN, "this token may not yank");
    }
    let mut inner = state.lock();
    let published = inner.crates.get_mut(name).and_then(|versions| {
        versions
            .iter_mut()
            .find(|published| published.line["vers"] == version.as_str())
    });
    match published {
        Some(published) => {
            published.line["yanked"] = yanked.into();
            Json(json!({"ok": true})).into_response()
        }
        None => refuse(StatusCode::NOT_FOUND, "no such version"),
    }
}

fn change_owners(state: &State, name: &str, headers: &HeaderMap, change: impl FnOnce(&mut Vec<String>)) -> Response {
    if !state.knows(headers) {
        return refuse(StatusCode::FORBIDDEN, "this token may not change owners");
    }
    match state.lock().owners.get_mut(name) {
        Some(owners) => {
            change(owners);
            Json(json!({"ok": true, "msg": "owners changed"})).into_response()
        }
        None => refuse(StatusCode::NOT_FOUND, "no such crate"),
    }
}

fn refuse(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({"errors": [{"detail": detail}]}))).into_response()
}

fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (metadata, rest) = part(body)?;
    let (archive, _trailing) = part(rest)?;
    Some((metadata, archive))
}

/// One length-prefixed part and what follows it.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// The index line for a publish request: other names for dependencies' members, features with new syntax apart.
fn index_line(metadata: &Map<String, Value>, archive: &[u8]) -> Value {
    let member = |name: &str| metadata.get(name).cloned().unwrap_or_default();
    let dependencies: Vec<Value> = member("deps")
        .as_array()
        .into_iter()
        .flatten()
        .map(index_dependency)
        .collect();
    let (plain, modern): (Map<_, _>, Map<_, _>) = member("features")
        .as_object()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .partition(|(_, values)| !needs_version_two(values));
    let mut line = json!({
        "name": member("name"), "vers": member("vers"), "deps": dependencies, "features": plain,
        "cksum": hex::encode(Sha256::digest(archive)), "yanked": false, "links": member("links"),
    });
    if !modern.is_empty() {
        line["features2"] = Value::Object(modern);
        line["v"] = 2.into();
    }
    line
}

fn index_dependency(sent: &Value) -> Value {
    let renamed = &sent["explicit_name_in_toml"];
    let (name, package) = if renamed.is_null() {
        (&sent["name"], &Value::Null)
    } else {
        (renamed, &sent["name"])
    };
    json!({
        "name": name, "package": package, "req": sent["version_req"], "features": sent["features"],
        "optional": sent["optional"], "default_features": sent["default_features"], "target": sent["target"],
        "kind": sent["kind"], "registry": sent["registry"],
    })
}

fn needs_version_two(values: &Value) -> bool {
    let mut texts = values.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.any(|text| text.starts_with("dep:") || text.contains("?/"))
}
