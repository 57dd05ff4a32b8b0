//! The command line of the gate.

use std::{
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Parser, Subcommand};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use verify::Sha256Digest;

use crate::{
    Config,
    service::{Service, StartError},
};

/// Refuse at the registry what nobody attested.
#[derive(Debug, Parser)]
#[command(name = "crates-plugin", version, about, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the gate before a registry.
    Serve {
        /// Configuration file.
        config: PathBuf,
    },
    /// Check configuration and policy without serving.
    Check {
        /// Configuration file.
        config: PathBuf,
    },
}

/// Why the command failed, by exit code.
#[derive(Debug)]
enum Failure {
    /// Usage or configuration.
    Configuration(String),
    /// The address cannot be had, or serving ended.
    Unavailable(String),
}

/// Runs the command line: 0 done, 2 usage or configuration, 3 could not serve.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // A provider is there already when this runs inside another program of the suite.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let outcome = match arguments.command {
        Command::Serve { config } => serve(&config),
        Command::Check { config } => check(&config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration(text)) => complain(&text, 2),
        Err(Failure::Unavailable(text)) => complain(&text, 3),
    }
}

fn open(path: &Path) -> Result<(Arc<Service>, Config), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Configuration(format!("cannot read {}: {error}", path.display())))?;
    let mut config = Config::from_toml(&text)
        .map_err(|error| Failure::Configuration(format!("{} is wrong: {error}", path.display())))?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    for file in [&mut config.trust, &mut config.policy, &mut config.data] {
        *file = folder.join(&*file);
    }
    let secrets = config
        .trusted_publishing
        .iter_mut()
        .filter_map(|section| section.registry_token_file.as_mut());
    let hook = config
        .webhook
        .iter_mut()
        .flat_map(|section| std::iter::once(&mut section.secret_file).chain(section.registry_token_file.as_mut()));
    for file in secrets.chain(hook) {
        *file = folder.join(&*file);
    }
    if let Some(attest) = &mut config.attest {
        attest.resolve(folder);
    }
    let service = Service::open(config.clone()).map_err(|error| Failure::Configuration(chain(&error)))?;
    Ok((service, config))
}

/// Says what the policy means, and what of it deserves a look.
fn check(path: &Path) -> Result<(), Failure> {
    let (service, config) = open(path)?;
    let (report, warnings) = service.policy_report();
    let mut text = report;
    for warning in warnings {
        text.push_str("warning: ");
        text.push_str(&warning);
        text.push('\n');
    }
    if let Some(mirror) = &config.mirror {
        text.push_str("# .cargo/config.toml of those who use this mirror\n");
        text.push_str(&mirror.cargo_configuration(&config.index_url()));
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::Unavailable(format!("cannot print: {error}")))
}

fn serve(path: &Path) -> Result<(), Failure> {
    drop(tracing_subscriber::fmt().json().with_writer(std::io::stderr).try_init());
    let (service, config) = open(path)?;
    let unavailable = |error: &dyn std::error::Error| Failure::Unavailable(chain(error));
    let metrics = PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| unavailable(&error))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| unavailable(&error))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| Failure::Unavailable(format!("cannot listen on {}: {error}", config.listen)))?;
        tracing::info!(address = %config.listen, index = config.index_url(), "serving");
        tokio::spawn(reload_on_hangup(Arc::clone(&service)));
        tokio::spawn(reload_on_change(Arc::clone(&service)));
        tokio::spawn(Arc::clone(&service).finish_uploads());
        tokio::spawn(Arc::clone(&service).work_on_hints());
        let (stopping, mut stopped) = tokio::sync::watch::channel(false);
        let server = axum::serve(listener, service.router(metrics)).with_graceful_shutdown(async move {
            stop().await;
            tracing::info!("stopping; requests in flight are answered");
            stopping.send_replace(true);
        });
        let drained = async {
            drop(stopped.wait_for(|stopped| *stopped).await);
            tokio::time::sleep(config.operation.drain_limit()).await;
        };
        tokio::select! {
            ended = server => ended.map_err(|error| unavailable(&error)),
            () = drained => {
                tracing::warn!("requests still in flight were cut off");
                Ok(())
            }
        }
    })
}

/// Reads the policy again at each SIGHUP.
async fn reload_on_hangup(service: Arc<Service>) {
    let Ok(mut hangups) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else {
        return;
    };
    while hangups.recv().await.is_some() {
        told(service.reload_policy());
    }
}

/// Reads the policy again when its file changes; a wrong one is told once.
async fn reload_on_change(service: Arc<Service>) {
    let mut seen = service.policy_digest();
    loop {
        tokio::time::sleep(POLL).await;
        if let Some(outcome) = service.poll_policy(&mut seen) {
            told(outcome);
        }
    }
}

fn told(outcome: Result<Sha256Digest, StartError>) {
    match outcome {
        Ok(digest) => tracing::info!(%digest, "policy reloaded"),
        Err(error) => tracing::error!(error = chain(&error), "policy refused; the old one stays"),
    }
}

async fn stop() {
    let interrupt = tokio::signal::ctrl_c();
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        drop(interrupt.await);
        return;
    };
    tokio::select! {
        _ = interrupt => (),
        _ = terminate.recv() => (),
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    drop(writeln!(std::io::stderr(), "error: {text}"));
    ExitCode::from(code)
}

/// The error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How often the policy file is looked at.
const POLL: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "Examples:
  crates-plugin check gate.toml     read configuration, trust and policy
  crates-plugin serve gate.toml     serve; a changed policy is read again";
