//! Which GitHub keeps the attestations of a crate: that of the repository whose workflow is expected to have signed it.

use std::cell::OnceCell;

use client::{
    Class, Http, Service,
    attestations::Found,
    github::{GitHub, Repository},
    http::Endpoint,
};
use futures_util::{StreamExt as _, stream};
use verify::Sha256Digest;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// Whom one can ask: github.com, and the server that a job runs at.
#[derive(Debug)]
pub(crate) struct Hosts(Vec<Host>);

/// What there is about an artifact in a repository.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    api: &'a GitHub,
    repository: Repository,
    digest: Sha256Digest,
}

#[derive(Debug)]
struct Host {
    /// `https://github.com`
    server: String,
    api: GitHub,
}

impl Hosts {
    /// Those that the variables of GitHub Actions name, `GITHUB_SERVER_URL` and `GITHUB_API_URL`, with the token in `GH_TOKEN` or
    /// `GITHUB_TOKEN`; and github.com in any case.
    ///
    /// # Errors
    /// Code `service-url` for an API's address that is none.
    pub(crate) fn new(http: &Http, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let names = ["GH_TOKEN", "GITHUB_TOKEN"];
        let token = names.iter().find_map(|name| variable(name)).map(Zeroizing::new);
        let variable = |name: &str, default: &str| variable(name).unwrap_or_else(|| default.to_owned());
        let host = |server: &str, api: &str, token: Option<&str>| -> Result<Host, Failure> {
            let api = Endpoint::parse(Service::AttestationStore, api)?;
            Ok(Host {
                server: server.trim_end_matches('/').to_owned(),
                api: GitHub::new(http.clone(), api, token),
            })
        };
        let server = variable("GITHUB_SERVER_URL", SERVER);
        let own = host(
            &server,
            &variable("GITHUB_API_URL", API),
            token.as_ref().map(|token| token.as_str()),
        )?;
        // A token of another server is none of github.com's business.
        Ok(Self(vec![own, host(SERVER, API, None)?]))
    }

    /// What to ask about an artifact from the repository that a URL is in; none where that is not one certain repository.
    pub(crate) fn question(&self, url: &str, digest: Sha256Digest) -> Option<Question<'_>> {
        self.0.iter().find_map(|host| {
            let mut parts = url.strip_prefix(&host.server)?.strip_prefix('/')?.split('/');
            let full_name = format!("{}/{}", parts.next()?, parts.next()?);
            Some(Question {
                api: &host.api,
                repository: Repository::parse(&full_name)?,
                digest,
            })
        })
    }
}

/// The answers, in the order of the questions; `answered` hears of each. Once one says that no other would be answered now, no
/// more are asked.
pub(crate) async fn answers(questions: &[Question<'_>], answered: impl Fn()) -> Vec<Result<Found, Failure>> {
    let stopped = OnceCell::new();
    let ask = async |question: &Question<'_>| {
        if let Some(error) = stopped.get() {
            return Err(client::Error::clone(error));
        }
        let answer = question.api.by_digest(&question.repository, &question.digest).await;
        if let Err(error) = &answer
            && is_about_us(error)
        {
            stopped.get_or_init(|| error.clone());
        }
        answered();
        answer
    };
    let answers = stream::iter(questions).map(ask).buffered(AT_A_TIME);
    answers.map(|answer| answer.map_err(unanswered)).collect().await
}

/// Who does not answer leaves the question open, whatever the reason.
fn unanswered(error: client::Error) -> Failure {
    let is_limit = is_limit(&error);
    let failure = Failure::from(error)
        .with_exit(Exit::Unavailable)
        .while_doing("GitHub cannot be asked for attestations");
    if is_limit {
        failure.hint("set `GH_TOKEN`: without a token GitHub answers sixty requests an hour; what it answered is kept, so run it again")
    } else {
        failure
    }
}

/// Whether the next question would be answered alike.
fn is_about_us(error: &client::Error) -> bool {
    is_limit(error) || error.class() == Class::Unavailable
}

/// The token is not good, or too much was asked: GitHub says the latter with 403 or 429.
const fn is_limit(error: &client::Error) -> bool {
    if let client::Error::Status { status, .. } | client::Error::Busy { status, .. } = error {
        matches!(*status, 401 | 403 | 429)
    } else {
        false
    }
}

/// GitHub asks for few requests at once.
const AT_A_TIME: usize = 8;
const SERVER: &str = "https://github.com";
const API: &str = "https://api.github.com";

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(variables: &[(&str, &str)]) -> Hosts {
        let http = Http::new(client::HttpOptions::default()).unwrap();
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Hosts::new(&http, value).unwrap()
    }

    fn asked(hosts: &Hosts, url: &str) -> Option<String> {
        let Question { api, repository, .. } = hosts.question(url, Sha256Digest([1; 32]))?;
        Some(format!("{api:?} about {repository}"))
    }

    #[test]
    fn a_workflow_is_in_a_repository_of_one_github() {
        let hosts = hosts(&[]);
        let workflow = "https://github.com/ferris/crockford/.github/workflows/release.yml@refs/tags/v1";
        let expected = "GitHub at https://api.github.com/ about ferris/crockford";
        for good in [workflow, "https://github.com/ferris/crockford"] {
            assert_eq!(asked(&hosts, good).as_deref(), Some(expected), "{good}");
        }
        for bad in [
            "https://github.com/ferris/*",
            "https://github.com/ferris/c*/.github/workflows/release.yml@refs/tags/v1",
            "https://github.com/ferris",
            "https://github.com.example/ferris/crockford/x",
            "https://github.example/ferris/crockford/x",
            "ferris@example.com",
        ] {
            assert_eq!(asked(&hosts, bad), None, "{bad}");
        }
    }

    #[test]
    fn a_server_of_ones_own_is_asked_about_its_own_repositories() {
        let hosts = hosts(&[
            ("GITHUB_SERVER_URL", "https://git.acme.test"),
            ("GITHUB_API_URL", "https://git.acme.test/api/v3"),
            ("GH_TOKEN", "ghs_secret"),
        ]);
        let own = "GitHub at https://git.acme.test/api/v3 about acme/mine";
        assert_eq!(asked(&hosts, "https://git.acme.test/acme/mine/x").as_deref(), Some(own));
        let public = "GitHub at https://api.github.com/ about ferris/crockford";
        assert_eq!(
            asked(&hosts, "https://github.com/ferris/crockford").as_deref(),
            Some(public)
        );
        assert!(!format!("{hosts:?}").contains("secret"));
    }
}
