//! Asking for the evidence that is missing: the attestation store, and GitHub.

use std::collections::BTreeMap;

use client::Http;
use verify::{Bundle, Sha256Digest, signing_config::ClientTrustConfig};

use super::{Arguments, Error, wanted::Wanted};
use crate::{
    context::Context,
    evidence::{
        cache::Cache,
        expectation::Expectations,
        finding::{Finding, Outcome},
        github::{self, Hosts},
        judgement::{Case, Judge},
        registry::RegistryStatement,
        store::Store,
    },
    failure::{Exit, Failure},
    network,
    registry::{index::IndexConfig, selection::Registry},
};

/// Positions of those that more evidence might help: nothing was given for them and what was cached is not enough.
pub(super) fn open(wanted: &[Wanted], findings: &[Finding], expectations: &Expectations) -> Vec<usize> {
    let pairs = wanted.iter().zip(findings).enumerate();
    pairs
        .filter(|(_, (wanted, finding))| {
            let pinned = finding.registry.iter().any(RegistryStatement::is_pinned);
            let unheard = !expectations.registries.is_empty() && !pinned;
            let unproven = matches!(finding.outcome, Outcome::Unattested | Outcome::Refused);
            wanted.given.is_empty() && (unproven || unheard)
        })
        .map(|(position, _)| position)
        .collect()
}

/// Asking for what is missing: the attestation store, then GitHub about what is expected to come from there.
pub(super) struct Fetching<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) context: &'a Context,
    pub(super) services: Option<&'a ClientTrustConfig>,
    pub(super) judge: &'a Judge,
    pub(super) cache: Option<&'a Cache>,
}

impl Fetching<'_> {
    /// Fetches evidence about the cases at `open`, judges them again and keeps what is worth it.
    ///
    /// # Errors
    /// Configuration: a store's URL is none. Where somebody does not answer, the findings say so.
    pub(super) fn complete(
        &self,
        open: &[usize],
        wanted: &[Wanted],
        cases: &mut [Case<'_>],
        findings: &mut [Finding],
    ) -> Result<(), Failure> {
        if self.context.options.offline {
            let why = Failure::new(Exit::Unavailable, "offline-evidence", &Error::Offline)
                .hint("run it once without `--offline`, or pass `--bundle FILE`");
            mark_unavailable(open, findings, &why);
            return Ok(());
        }
        let http = network::http(self.context)?;
        let explicit = self.arguments.attestations.as_deref();
        if let Some(store) = Store::find(&http, explicit, self.services, None, self.judge.now)? {
            // Who has a store of their own keeps everything there.
            return self.ask_store(&store, open, cases, findings);
        }
        let unkept = self.ask_registries(&http, open, wanted, cases, findings)?;
        let unasked = self.ask_github(&http, open, cases, findings)?;
        let nobody =
            |(_, positions): &&(String, Vec<usize>)| positions.iter().any(|position| unasked.contains(position));
        let names: Vec<&str> = unkept.iter().filter(nobody).map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            self.context.printer.note(format_args!(
                "nobody keeps attestations for {}, as far as is known: name the signer, where it is a workflow on GitHub, or pass `--attestations URL`, or `--bundle FILE` with one crate",
                names.join(", ")
            ));
        }
        Ok(())
    }

    /// Asks the stores that the registries name, each about its own crates. Gives the registries that name none, with the positions
    /// of their crates.
    fn ask_registries(
        &self,
        http: &Http,
        open: &[usize],
        wanted: &[Wanted],
        cases: &mut [Case<'_>],
        findings: &mut [Finding],
    ) -> Result<Vec<(String, Vec<usize>)>, Failure> {
        let mut by_source: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        for position in open {
            let source = wanted.get(*position).and_then(|wanted| wanted.source.as_deref());
            by_source.entry(source).or_default().push(*position);
        }
        let mut unkept = Vec::new();
        for (source, positions) in by_source {
            let registry = match source {
                Some(source) => Ok(Registry::of_lock_file(self.context, source)),
                None => Registry::select(self.context, self.arguments.registry.as_deref(), None).map(Some),
            };
            let registry = match registry {
                Ok(registry) => registry,
                Err(why) => {
                    mark_unavailable(&positions, findings, &unknown_store(why));
                    continue;
                }
            };
            let Some(registry) = registry else {
                unkept.push(("the folder of vendored crates".to_owned(), positions));
                continue;
            };
            let stated = self
                .context
                .block_on(async { Ok(self.stated_store(http, &registry).await) })?;
            match stated {
                Ok(Some(url)) => {
                    if let Some(store) = Store::find(http, None, None, Some(&url), self.judge.now)? {
                        self.ask_store(&store, &positions, cases, findings)?;
                    }
                }
                Ok(None) => unkept.push((registry.display_name().to_owned(), positions)),
                Err(why) => mark_unavailable(&positions, findings, &unknown_store(why)),
            }
        }
        Ok(unkept)
    }

    /// The store that a registry's own configuration names.
    ///
    /// # Errors
    /// The configuration cannot be read. Then nobody knows whether evidence is kept, which is another thing than that none is.
    async fn stated_store(&self, http: &Http, registry: &Registry) -> Result<Option<String>, Failure> {
        if !registry.index_url.starts_with("sparse+") {
            // An index in git has its configuration in git, too.
            return Ok(None);
        }
        let token = self.arguments.token_for(self.context, registry);
        let config = IndexConfig::fetch(http, registry, token.as_ref()).await?;
        Ok(config.attestations().map(str::to_owned))
    }

    /// Asks in one batch.
    fn ask_store(
        &self,
        store: &Store,
        open: &[usize],
        cases: &mut [Case<'_>],
        findings: &mut [Finding],
    ) -> Result<(), Failure> {
        let digests: Vec<Sha256Digest> = open
            .iter()
            .filter_map(|position| cases.get(*position))
            .map(|case| case.subject.digest)
            .collect();
        let progress = self.context.printer.progress(1, "Fetching");
        let answer = self.context.block_on(async { Ok(store.client.query(&digests).await) });
        progress.finish_and_clear();
        match answer? {
            Ok(found) => {
                for position in open {
                    let digest = cases.get(*position).map(|case| case.subject.digest);
                    if let Some(found) = digest.and_then(|digest| found.get(&digest)) {
                        self.add(*position, &found.bundles, cases, findings)?;
                    }
                }
            }
            Err(error) => {
                mark_unavailable(open, findings, &unanswered(error, &store.url));
            }
        }
        Ok(())
    }

    /// Asks about each crate that has no evidence that holds, and whose signer is expected to be a workflow there. Gives the positions of
    /// those that have no evidence, and no repository to ask about.
    fn ask_github(
        &self,
        http: &Http,
        open: &[usize],
        cases: &mut [Case<'_>],
        findings: &mut [Finding],
    ) -> Result<Vec<usize>, Failure> {
        let hosts = Hosts::new(http, |name| self.context.variable(name))?;
        let (mut asked, mut questions, mut unasked) = (Vec::new(), Vec::new(), Vec::new());
        for position in open {
            let (Some(case), Some(finding)) = (cases.get(*position), findings.get(*position)) else {
                continue;
            };
            if matches!(finding.outcome, Outcome::Verified | Outcome::Signed) {
                continue;
            }
            let (name, version) = case.subject.name_and_version();
            let source = case.signer.map(|signer| signer.source(name, version));
            match source.and_then(|source| hosts.question(&source, case.subject.digest)) {
                Some(question) => {
                    asked.push(*position);
                    questions.push(question);
                }
                None if finding.outcome == Outcome::Unattested => unasked.push(*position),
                None => {}
            }
        }
        let progress = self
            .context
            .printer
            .progress(u64::try_from(questions.len()).unwrap_or(u64::MAX), "Fetching");
        let answers = github::answers(&questions, || progress.inc(1));
        let answers = self.context.block_on(async { Ok(answers.await) });
        progress.finish_and_clear();
        for (position, answer) in asked.into_iter().zip(answers?) {
            match answer {
                Ok(found) => self.add(position, &found.bundles, cases, findings)?,
                Err(why) => mark_unavailable(&[position], findings, &why),
            }
        }
        Ok(unasked)
    }

    /// Adds evidence to a case, and judges it again.
    fn add(
        &self,
        position: usize,
        bundles: &[Bundle],
        cases: &mut [Case<'_>],
        findings: &mut [Finding],
    ) -> Result<(), Failure> {
        let (Some(case), Some(finding)) = (cases.get_mut(position), findings.get_mut(position)) else {
            return Ok(());
        };
        let digest = case.subject.digest;
        if let Some(cache) = self.cache {
            cache.keep(digest, &self.judge.credible(digest, bundles));
        }
        let new = bundles.iter().filter(|bundle| !case.bundles.contains(bundle));
        let new: Vec<Bundle> = new.cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        case.bundles.extend(new);
        if let Some(judged) = self.judge.judge(std::slice::from_ref(case))?.pop() {
            *finding = judged;
        }
        Ok(())
    }
}

fn unknown_store(why: Failure) -> Failure {
    why.with_exit(Exit::Unavailable)
        .while_doing("the registry cannot be asked who keeps attestations of its crates")
}

/// A store that does not answer leaves the question open, whatever the reason.
fn unanswered(error: client::Error, url: &str) -> Failure {
    Failure::from(error)
        .with_exit(Exit::Unavailable)
        .while_doing(format_args!("the attestation store at {url} cannot be asked"))
}

fn mark_unavailable(open: &[usize], findings: &mut [Finding], why: &Failure) {
    for position in open {
        if let Some(finding) = findings.get_mut(*position)
            && finding.outcome == Outcome::Unattested
        {
            *finding = Finding::unavailable(finding.subject.clone(), why.clone());
        }
    }
}
