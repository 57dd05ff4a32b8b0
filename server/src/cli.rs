//! The command line of `sigstore-server`.

mod logs;

use std::{
    ffi::OsString,
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::{Error, InitOptions, identity::IssuerSpec, init, log::HammerOptions, start};

/// Runs the program with these arguments, the first being its name. Exit codes: 0 yes, 1 looked and refused, 2 usage or
/// configuration, 3 could not look, 70 our bug.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    run(arguments.command).unwrap_or_else(|error| {
        report(&error);
        ExitCode::from(error.exit_code())
    })
}

/// A Sigstore of your own: certificate authority, logs, timestamp authority, attestation store and TUF repository in one process.
#[derive(Parser)]
#[command(name = "sigstore-server", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new instance: keys, certificates, configuration, trust documents, TUF repository.
    #[command(after_help = INIT_EXAMPLES)]
    Init {
        /// New folder of the instance.
        dir: PathBuf,
        /// URL that clients will use. Cannot be changed later: the logs are named after its host.
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        origin: String,
        /// Address to listen on; by default derived from the origin.
        #[arg(long)]
        listen: Option<SocketAddr>,
        /// Accept tokens of this issuer: `URL[,type=TYPE][,url=BASE][,subject-domain=URL]`, with TYPE one of github-workflow,
        /// gitlab-pipeline, forgejo-actions, buildkite-job, email, uri. The public CI providers are accepted anyway.
        #[arg(long = "issuer", value_name = "SPEC")]
        issuers: Vec<String>,
    },
    /// Serve an instance until SIGINT or SIGTERM.
    Serve {
        /// Folder of the instance.
        dir: PathBuf,
        /// Address to listen on instead of the configured one.
        #[arg(long)]
        listen: Option<SocketAddr>,
        /// Form of the log on stderr.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Recompute every tile, root, canonical body and signature of the logs. Exit code 1 when anything contradicts itself.
    Fsck {
        /// Folder of the instance; it may be in use.
        dir: PathBuf,
        /// Form of the report on stdout.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Load a signature log and measure it; every answer's proof is checked. The entries stay in the log for ever.
    Hammer {
        /// URL of the log.
        url: url::Url,
        /// Clients at the same time.
        #[arg(long, default_value_t = 64)]
        clients: usize,
        /// Seconds under load.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Entries one after another before the load.
        #[arg(long, default_value_t = 200)]
        idle: usize,
        /// Form of the report on stdout.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print a completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs: one JSON object per line.
    Json,
}

fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Init {
            dir,
            origin,
            listen,
            issuers,
        } => {
            let issuers = issuers
                .iter()
                .map(|text| text.parse::<IssuerSpec>())
                .collect::<Result<_, _>>()?;
            let report = init(&InitOptions {
                dir,
                origin: Some(origin),
                listen,
                issuers,
            })?;
            say(&report.to_string());
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve { dir, listen, format } => {
            start_logging(format);
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.map_err(|_| Error::Runtime)?.block_on(serve(dir, listen))
        }
        Command::Fsck { dir, format } => logs::fsck(&dir, format),
        Command::Hammer {
            url,
            clients,
            seconds,
            idle,
            format,
        } => {
            let options = HammerOptions {
                url,
                clients,
                duration: Duration::from_secs(seconds),
                idle,
            };
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime
                .map_err(|_| Error::Runtime)?
                .block_on(logs::hammer(options, format))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "sigstore-server", &mut script);
            let _ = std::io::stdout().write_all(&script);
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn serve(dir: PathBuf, listen: Option<SocketAddr>) -> Result<ExitCode, Error> {
    let mut running = start(&dir, listen).await?;
    say(&format!("listening on {}\n", running.url()));
    tracing::info!(address = running.address().to_string(), "serving");
    let ended = tokio::select! {
        ended = running.ended() => Some(ended),
        () = stop_signal() => None,
    };
    match ended {
        Some(Err(source)) => Err(Error::Listen {
            address: running.address(),
            source: source.into(),
        }),
        Some(Ok(())) => Ok(ExitCode::SUCCESS),
        None => {
            tracing::info!("shutting down");
            running.shutdown().await;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Returns at SIGINT or SIGTERM.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

/// Logs to stderr; `RUST_LOG` chooses what, `info` by default.
fn start_logging(format: Format) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let _ = match format {
        Format::Json => builder.json().flatten_event(true).try_init(),
        Format::Human => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).try_init()
        }
    };
}

fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// What happened, the causes beneath, one hint.
fn report(error: &Error) {
    use std::fmt::Write as _;
    let mut text = format!("error[{}]: {error}\n", error.code());
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            let _ = writeln!(text, "  because: {inner_text}");
        }
        cause = inner.source();
    }
    let _ = writeln!(text, "hint: {}", error.hint());
    let _ = std::io::stderr().write_all(text.as_bytes());
}

const INIT_EXAMPLES: &str = "Examples:
  sigstore-server init /srv/sigstore --origin https://sigstore.example.com
  sigstore-server init ./try --issuer http://127.0.0.1:9000,type=github-workflow
  sigstore-server init ./try --issuer https://gitlab.example.com,type=gitlab-pipeline";
