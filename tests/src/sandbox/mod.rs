//! The sandbox: a release from working tree to lock file, four attacks that a consumer notices, and four that a registry's
//! gate stops; each step shown with its evidence.

mod attack;
mod guard;
mod keep;
mod release;

use std::{
    io::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    Error, Instance, Issuer, Registry, Tools,
    ci::Release,
    issuer::Profile,
    project::{Project, Workshop, fixture},
    registry,
};

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A package of the user's instead of the fixture.
    pub manifest_path: Option<PathBuf>,
    /// Whether everything is left running.
    pub keep: bool,
}

/// Everything on stage.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) tools: Tools,
    pub(crate) issuer: Issuer,
    pub(crate) instance: Instance,
    pub(crate) registry: Registry,
    pub(crate) workshop: Workshop,
    pub(crate) project: Project,
    pub(crate) release: Release,
    steps: Steps,
}

/// Numbers and prints the steps.
#[derive(Debug)]
struct Steps {
    number: u32,
    start: Instant,
}

/// How long any one command may take.
pub(crate) const LIMIT: Duration = Duration::from_mins(5);

/// What cargo calls the registry.
pub(crate) const REGISTRY: &str = "sandbox";

/// Plays the whole piece.
///
/// # Errors
/// Something did not happen as it must: a step failed, or an attack was not refused.
pub fn play(options: &Options) -> Result<(), Error> {
    let mut scene = open(options)?;
    release::publish(&mut scene)?;
    let consumer = release::consume(&mut scene)?;
    attack::bundle(&mut scene)?;
    attack::crate_file(&mut scene, &consumer)?;
    attack::identity(&mut scene)?;
    attack::dependency(&mut scene, &consumer)?;
    guard::play(&mut scene)?;
    let took = scene.steps.start.elapsed();
    say(&format!("\nAll of it happened, in {:.1} s.", took.as_secs_f64()));
    if options.keep {
        keep::keep(&scene)?;
    }
    Ok(())
}

/// Starts the services and takes the crate.
fn open(options: &Options) -> Result<Scene, Error> {
    let mut steps = Steps {
        number: 0,
        start: Instant::now(),
    };
    let own = std::env::current_exe().map_err(|error| Error::new("find this binary", error))?;
    let tools = Tools::install(&own)?;
    let issuer = Issuer::start()?;
    steps.show(
        "issuer",
        &issuer.url(Profile::GitHub),
        "tokens shaped like GitHub's, RS256",
    );
    let instance = Instance::start(&tools, &issuer)?;
    steps.show(
        "server",
        instance.url(),
        "CA, CT log, signature logs, timestamp authority, attestations, TUF",
    );
    let registry = Registry::start(registry::Options::default())?;
    steps.show(
        "registry",
        &registry.index_url(),
        "cargo's own protocol, knows nothing of signatures",
    );
    let mut workshop = Workshop::open(&tools)?;
    workshop.know(REGISTRY, &registry);
    let project = match &options.manifest_path {
        Some(manifest) => workshop.clone_of(manifest)?,
        None => workshop.adopt(&fixture("crockford"))?,
    };
    steps.show(
        "crate",
        &format!("{} {}", project.name, project.version),
        &format!("commit {}", project.commit),
    );
    let release = Release::of_tag(&format!("ferris/{}", project.name), &project.version, &project.commit);
    Ok(Scene {
        tools,
        issuer,
        instance,
        registry,
        workshop,
        project,
        release,
        steps,
    })
}

impl Scene {
    /// One line for a step that happened.
    fn show(&mut self, step: &str, what: &str, evidence: &str) {
        self.steps.show(step, what, evidence);
    }

    /// The issuer whose tokens the release was signed with.
    pub(crate) fn issuer_url(&self) -> String {
        self.issuer.url(Profile::GitHub)
    }

    /// `NAME-VERSION.crate`.
    pub(crate) fn crate_name(&self) -> String {
        format!("{}-{}.crate", self.project.name, self.project.version)
    }

    /// The bundles that publishing left beside the build products, one a line.
    pub(crate) fn bundle_path(&self) -> PathBuf {
        let name = format!("{}.sigstore.jsonl", self.crate_name());
        self.workshop.target().join("sigstore").join(name)
    }
}

/// A line on stdout; a reader who has gone away is no failure.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// What a tool said, as the user sees it.
fn quote(words: &str) {
    for line in words.lines().filter(|line| !line.trim().is_empty()) {
        say(&format!("            | {line}"));
    }
}

impl Steps {
    fn show(&mut self, step: &str, what: &str, evidence: &str) {
        self.number += 1;
        say(&format!("{:>2}  {step:<8} {what}  {evidence}", self.number));
    }
}
