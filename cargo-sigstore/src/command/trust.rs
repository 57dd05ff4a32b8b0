//! `cargo sigstore trust`: the trust roots of this user, by name.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tuf_root::{
    Role,
    repository::{Head, Heads},
    store::{Freshness, Instance, Loaded, PublicInstance, TrustStore, public_instance},
};
use verify::{
    TrustedRoot, UnixTime,
    signing_config::{Service, SigningConfig},
    time::ValidityWindow,
    trusted_root::{CertificateAuthority, TransparencyLog},
};

use crate::{
    context::Context,
    failure::{Exit, Failure},
    file,
    printer::{table, visible},
    trust::{self, Known},
};

/// Arguments of `trust`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a trust root; it needs the root file or its digest, since nothing is trusted on first use
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// Ask repositories for what is new
    #[command(after_help = UPDATE_EXAMPLES)]
    Update(Update),
    /// List the trust roots that `--trust` takes
    List,
    /// Show whom a trust root believes: authorities, logs, when, and for how long the metadata is good
    #[command(after_help = "Example:\n  cargo sigstore trust show public-good")]
    Show(Name),
    /// Forget a trust root; of a public instance only what is cached
    Remove(Name),
}

#[derive(Args, Debug)]
struct Add {
    /// What to call it: lowercase letters, digits, `-` and `_`
    name: String,
    /// Where its TUF repository is: `https`, or `http` on this machine
    url: String,
    /// The root file, as its operator gave it to you
    #[arg(long, value_name = "FILE", required_unless_present = "root_sha256")]
    root: Option<PathBuf>,
    /// SHA-256 of the root file, as its operator gave it to you; the file is then downloaded
    #[arg(long, value_name = "HEX", conflicts_with = "root")]
    root_sha256: Option<String>,
}

#[derive(Args, Debug)]
struct Update {
    /// Which; all that were added or used before, unless given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Args, Debug)]
struct Name {
    /// Which
    #[arg(value_name = "NAME")]
    name: String,
}

/// Runs `cargo sigstore trust …`.
///
/// # Errors
/// The codes of the trust store, `docs/codes/tuf-root.md`.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let store = trust::store(context)?;
    match &arguments.action {
        Action::Add(arguments) => add(arguments, &store, context),
        Action::Update(arguments) => update(arguments, &store, context),
        Action::List => list(&store, context),
        Action::Show(arguments) => show(&arguments.name, &store, context),
        Action::Remove(arguments) => {
            store.remove(&arguments.name)?;
            context.printer.status("Removed", &arguments.name);
            Ok(Exit::Yes)
        }
    }
}

/// Adds it and asks it once; when that fails nothing is added.
fn add(arguments: &Add, store: &TrustStore, context: &Context) -> Result<Exit, Failure> {
    let Add { name, url, .. } = arguments;
    let root = context.block_on(root(arguments, store, context))?;
    store.add(name, url, &root)?;
    context.printer.status("Added", format_args!("{name} at {url}"));
    if context.options.offline {
        context.printer.note(format_args!(
            "`cargo sigstore trust update {name}` fetches what it says, once online"
        ));
        return Ok(Exit::Yes);
    }
    let loaded = context.block_on(async { Ok(store.update(name, context.now()).await?) });
    if loaded.is_err() {
        store.remove(name)?;
    }
    tell(name, &loaded?, context)?;
    Ok(Exit::Yes)
}

async fn root(arguments: &Add, store: &TrustStore, context: &Context) -> Result<Vec<u8>, Failure> {
    match (&arguments.root, &arguments.root_sha256) {
        (Some(path), _) => file::read(path, ROOT_BYTES),
        (None, Some(_)) if context.options.offline => Err(trust::offline()),
        (None, digest) => Ok(store
            .fetch_root(&arguments.url, digest.as_deref().unwrap_or_default())
            .await?),
    }
}

/// Asks each; the first failure is the answer, after all were asked.
fn update(arguments: &Update, store: &TrustStore, context: &Context) -> Result<Exit, Failure> {
    if context.options.offline {
        return Err(trust::offline());
    }
    let names = if arguments.names.is_empty() {
        in_use(store)?
    } else {
        arguments.names.clone()
    };
    let mut failed: Option<Failure> = None;
    for name in names {
        match context.block_on(async { Ok(store.update(&name, context.now()).await?) }) {
            Ok(loaded) => tell(&name, &loaded, context)?,
            Err(failure) => {
                let failure = failure.while_doing(format_args!("cannot update `{name}`"));
                if let Some(earlier) = failed.replace(failure) {
                    context.printer.failure(&earlier);
                }
            }
        }
    }
    failed.map_or(Ok(Exit::Yes), Err)
}

fn in_use(store: &TrustStore) -> Result<Vec<String>, Failure> {
    let names = store.list()?.into_iter().map(|listed| listed.name);
    Ok(names
        .filter(|name| public_instance(name).is_none() || store.refreshed(name).is_some())
        .collect())
}

fn tell(name: &str, loaded: &Loaded, context: &Context) -> Result<(), Failure> {
    let heads = &loaded.heads;
    if context.printer.is_json() {
        return context
            .printer
            .json(&json!({ "name": name, "roles": roles_json(&all_roles(heads)), "can_sign": loaded.can_sign }));
    }
    let purpose = if loaded.can_sign { "" } else { ", for verification only" };
    let message = format!(
        "{name}: root version {}, good until {}{purpose}",
        heads.root.version, heads.timestamp.expires
    );
    context.printer.status("Updated", message);
    Ok(())
}

fn list(store: &TrustStore, context: &Context) -> Result<Exit, Failure> {
    let (mut instances, mut damaged) = (Vec::new(), Vec::new());
    for listed in store.list()? {
        match listed.instance {
            Ok(instance) => instances.push(instance),
            Err(error) => damaged.push(Failure::from(error)),
        }
    }
    list_instances(&instances, store, context)?;
    let last = damaged.pop();
    for failure in &damaged {
        context.printer.failure(failure);
    }
    last.map_or(Ok(Exit::Yes), Err)
}

fn list_instances(all: &[Instance], store: &TrustStore, context: &Context) -> Result<(), Failure> {
    if context.printer.is_json() {
        let all: Vec<Value> = all.iter().map(|instance| instance_json(instance, store)).collect();
        return context.printer.json(&all);
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|instance| {
            let asked = store
                .refreshed(&instance.name)
                .map_or_else(|| "never".to_owned(), |at| at.to_string());
            vec![instance.name.clone(), asked, instance.url.clone()]
        })
        .collect();
    context
        .printer
        .line(table(&["NAME", "LAST ASKED", "REPOSITORY"], &rows))
}

fn show(name: &str, store: &TrustStore, context: &Context) -> Result<Exit, Failure> {
    let instance = store.instance(name)?;
    let view = match trust::known(context, name)? {
        Known::Loaded(loaded) => View::of_loaded(instance, *loaded),
        Known::BuiltIn(public) => View::of_built_in(instance, public, context.now())?,
    };
    if context.printer.is_json() {
        context.printer.json(&view.to_json(store))?;
    } else {
        context.printer.line(view.to_text(context.now()))?;
    }
    Ok(Exit::Yes)
}

/// A trust root to be shown.
struct View {
    instance: Instance,
    /// As this program was made; else as its repository said.
    built_in: bool,
    /// The roles whose metadata is at hand.
    heads: Vec<(Role, Head)>,
    expired: bool,
    root: TrustedRoot,
    /// Where one may sign, if anywhere.
    services: Option<SigningConfig>,
}

impl View {
    fn of_loaded(instance: Instance, loaded: Loaded) -> Self {
        let config = loaded.config;
        Self {
            instance,
            built_in: false,
            heads: all_roles(&loaded.heads).to_vec(),
            expired: matches!(loaded.freshness, Freshness::Expired { .. }),
            root: config.trusted_root,
            services: loaded.can_sign.then_some(config.signing_config),
        }
    }

    fn of_built_in(instance: Instance, public: &PublicInstance, now: UnixTime) -> Result<Self, Failure> {
        let head = public.root_head()?;
        Ok(Self {
            instance,
            built_in: true,
            heads: vec![(Role::Root, head)],
            expired: head.expires <= now,
            root: public.trusted_root()?,
            services: None,
        })
    }

    /// The report for people.
    fn to_text(&self, now: UnixTime) -> String {
        let root = &self.root;
        let began = if self.built_in {
            "as it is built in; begins"
        } else {
            "began"
        };
        let mut parts = vec![
            format!(
                "{} at {}\n{began} with the root sha256:{}",
                self.instance.name, self.instance.url, self.instance.root_sha256
            ),
            self.metadata_table(),
            format!(
                "Certificate authorities\n{}",
                authorities(&root.certificate_authorities, now)
            ),
            format!("Signature logs\n{}", logs(&root.logs, now)),
            format!("CT logs\n{}", logs(&root.ct_logs, now)),
            format!(
                "Timestamp authorities\n{}",
                authorities(&root.timestamp_authorities, now)
            ),
        ];
        if let Some(services) = &self.services {
            let all = [
                ("certificates", &services.certificate_authorities),
                ("log", &services.logs),
                ("timestamps", &services.timestamp_authorities),
                ("sign-in", &services.oidc_providers),
            ];
            parts.push(format!("Services to sign with\n{}", service_table(&all, now)));
        }
        if !root.skipped.is_empty() {
            let skipped: Vec<String> = root.skipped.iter().map(|what| format!("  {}", visible(what))).collect();
            parts.push(format!(
                "Left out, of a kind that this version does not know\n{}",
                skipped.join("\n")
            ));
        }
        parts.join("\n\n")
    }

    fn metadata_table(&self) -> String {
        let row =
            |(role, head): &(Role, Head)| vec![role.to_string(), head.version.to_string(), head.expires.to_string()];
        let rows: Vec<Vec<String>> = self.heads.iter().map(row).collect();
        table(&["METADATA", "VERSION", "EXPIRES"], &rows)
    }

    fn to_json(&self, store: &TrustStore) -> Value {
        let root = &self.root;
        let services = self.services.clone().unwrap_or_default();
        json!({
            "instance": instance_json(&self.instance, store),
            "built_in": self.built_in,
            "roles": roles_json(&self.heads),
            "expired": self.expired,
            "certificate_authorities": root.certificate_authorities.iter().map(authority_json).collect::<Vec<_>>(),
            "logs": root.logs.iter().map(log_json).collect::<Vec<_>>(),
            "ct_logs": root.ct_logs.iter().map(log_json).collect::<Vec<_>>(),
            "timestamp_authorities": root.timestamp_authorities.iter().map(authority_json).collect::<Vec<_>>(),
            "skipped": root.skipped,
            "can_sign": self.services.is_some(),
            "services": {
                "certificates": services.certificate_authorities.iter().map(service_json).collect::<Vec<_>>(),
                "logs": services.logs.iter().map(service_json).collect::<Vec<_>>(),
                "timestamps": services.timestamp_authorities.iter().map(service_json).collect::<Vec<_>>(),
                "sign_in": services.oidc_providers.iter().map(service_json).collect::<Vec<_>>(),
            },
        })
    }
}

const fn all_roles(heads: &Heads) -> [(Role, Head); 4] {
    [
        (Role::Root, heads.root),
        (Role::Targets, heads.targets),
        (Role::Snapshot, heads.snapshot),
        (Role::Timestamp, heads.timestamp),
    ]
}

fn authorities(all: &[CertificateAuthority], now: UnixTime) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|authority| {
            let name = [&authority.organization, &authority.common_name]
                .map(|part| visible(part))
                .join(" / ");
            vec![
                state(&authority.valid_for, now),
                window(&authority.valid_for),
                name,
                visible(&authority.uri),
            ]
        })
        .collect();
    indented(&rows, &["", "BELIEVED", "NAME", "ADDRESS"])
}

fn logs(all: &[TransparencyLog], now: UnixTime) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|log| {
            let key = format!("{:?} {}", log.key.kind(), short(&log.log_id));
            vec![
                state(&log.valid_for, now),
                window(&log.valid_for),
                key,
                visible(&log.base_url),
            ]
        })
        .collect();
    indented(&rows, &["", "BELIEVED", "KEY", "ADDRESS"])
}

fn service_table(all: &[(&str, &Vec<Service>)], now: UnixTime) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .flat_map(|(purpose, services)| services.iter().map(move |service| (purpose, service)))
        .map(|(purpose, service)| {
            let version = format!("v{}", service.api_version);
            vec![
                state(&service.valid_for, now),
                (*purpose).to_owned(),
                version,
                visible(&service.url),
            ]
        })
        .collect();
    indented(&rows, &["", "FOR", "API", "ADDRESS"])
}

fn indented(rows: &[Vec<String>], header: &[&str]) -> String {
    if rows.is_empty() {
        return "  none".to_owned();
    }
    table(header, rows)
        .lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn state(window: &ValidityWindow, now: UnixTime) -> String {
    let word = if now < window.start {
        "later"
    } else if window.contains(now) {
        "now"
    } else {
        "past"
    };
    word.to_owned()
}

fn window(window: &ValidityWindow) -> String {
    let end = window.end.map_or_else(|| "…".to_owned(), |end| end.to_string());
    format!("{} to {end}", window.start)
}

/// Enough of an id to tell two apart.
fn short(id: &[u8; 32]) -> String {
    hex::encode(id).chars().take(16).collect()
}

fn instance_json(instance: &Instance, store: &TrustStore) -> Value {
    json!({
        "name": instance.name,
        "url": instance.url,
        "root_sha256": instance.root_sha256,
        "public": public_instance(&instance.name).is_some(),
        "last_asked": store.refreshed(&instance.name).map(|at| at.to_string()),
    })
}

/// Version and expiry by role.
fn roles_json(heads: &[(Role, Head)]) -> Value {
    heads
        .iter()
        .map(|(role, head)| {
            let head = json!({ "version": head.version, "expires": head.expires.to_string() });
            (role.to_string(), head)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn authority_json(authority: &CertificateAuthority) -> Value {
    json!({
        "organization": authority.organization,
        "common_name": authority.common_name,
        "uri": authority.uri,
        "operator": authority.operator,
        "certificates": authority.chain.len(),
        "valid_for": window_json(&authority.valid_for),
    })
}

fn log_json(log: &TransparencyLog) -> Value {
    json!({
        "url": log.base_url,
        "key": log.key_details.as_str(),
        "log_id": hex::encode(log.log_id),
        "operator": log.operator,
        "valid_for": window_json(&log.valid_for),
    })
}

fn service_json(service: &Service) -> Value {
    json!({
        "url": service.url,
        "api_version": service.api_version,
        "operator": service.operator,
        "valid_for": window_json(&service.valid_for),
    })
}

fn window_json(window: &ValidityWindow) -> Value {
    json!({ "start": window.start.to_string(), "end": window.end.map(|end| end.to_string()) })
}

/// Largest root file; the TUF client's own bound.
const ROOT_BYTES: usize = 512_000;

const ADD_EXAMPLES: &str = "\
Examples:
  cargo sigstore trust add acme https://sigstore.acme.example/tuf/ --root root.json
  cargo sigstore trust add acme https://sigstore.acme.example/tuf/ --root-sha256 27ae…167f
  cargo sigstore trust add local http://127.0.0.1:8080/tuf/ --root DIR/trust/root.json

The public instances `public-good`, `staging` and `github` are known by name; their roots are built in.";

const UPDATE_EXAMPLES: &str = "\
Examples:
  cargo sigstore trust update                 all that were added or used before
  cargo sigstore trust update public-good     once, so that `--offline` works afterwards";
