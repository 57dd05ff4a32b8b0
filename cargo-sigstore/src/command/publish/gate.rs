//! Who gets the registry's token: cargo, for the upload of the attested bytes, and nobody else.

use std::sync::Mutex;

use verify::Sha256Digest;

use crate::{
    credential::protocol::{Answer, Request},
    failure::{Exit, Failure},
    registry::{selection::Registry, token::RegistryToken},
    release::statements::Release,
};

/// The decision about one upload.
#[derive(Debug)]
pub(super) struct Gate {
    name: String,
    version: String,
    digest: Sha256Digest,
    index_url: String,
    auth_required: bool,
    token: RegistryToken,
    refused: Mutex<Option<Failure>>,
}

impl Gate {
    /// A gate for one release.
    pub(super) fn new(release: &Release, registry: &Registry, auth_required: bool, token: RegistryToken) -> Self {
        Self {
            name: release.file.name.clone(),
            version: release.file.version.clone(),
            digest: release.file.digest,
            index_url: registry.index_url.clone(),
            auth_required,
            token,
            refused: Mutex::new(None),
        }
    }

    /// Answers cargo.
    pub(super) fn answer(&self, request: &Request) -> Answer {
        if request.kind != "get" {
            return Answer::NotSupported;
        }
        match request.operation.as_str() {
            "publish" => self.publish(request),
            // The index of such a registry cannot be read without.
            "read" if self.auth_required && request.registry.index_url == self.index_url => self.give(),
            // Cargo insists on a token before it packages, and sends it nowhere: it asks again before the upload.
            "read" => Answer::Token(NO_TOKEN.to_owned()),
            _ => Answer::NotSupported,
        }
    }

    /// The refusal, if there was one.
    pub(super) fn refusal(&self) -> Option<Failure> {
        self.refused.lock().ok()?.clone()
    }

    fn publish(&self, request: &Request) -> Answer {
        let attested = [
            ("registry", self.index_url.clone(), request.registry.index_url.clone()),
            ("name", self.name.clone(), request.name.clone()),
            ("version", self.version.clone(), request.vers.clone()),
            ("sha256", self.digest.to_string(), request.cksum.clone()),
        ];
        match attested.into_iter().find(|(_, attested, asked)| attested != asked) {
            None => self.give(),
            Some((what, attested, asked)) => self.refuse(what, &attested, &asked),
        }
    }

    fn give(&self) -> Answer {
        Answer::Token(self.token.secret().to_owned())
    }

    fn refuse(&self, what: &'static str, attested: &str, asked: &str) -> Answer {
        let failure = Failure::new(Exit::Refused, "not-attested", &Error::NotAttested { what })
            .fact("attested", attested)
            .fact("cargo asks for", asked)
            .hint("nothing was uploaded; something changed the package since it was attested: run it again in a quiet tree");
        let message = format!("{}: attested {attested}, asked for {asked}", failure.message());
        if let Ok(mut refused) = self.refused.lock() {
            *refused = Some(failure);
        }
        Answer::Refused(message)
    }
}

/// Why cargo gets no token.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cargo would upload something that was not attested: the {what} differs")]
    NotAttested { what: &'static str },
}

/// What cargo holds until it is about to upload.
const NO_TOKEN: &str = "not-yet";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::protocol::RegistryInfo;

    fn gate(auth_required: bool) -> Gate {
        Gate {
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            digest: Sha256Digest([0xab; 32]),
            index_url: "sparse+https://r.example/".to_owned(),
            auth_required,
            token: RegistryToken::of("secret"),
            refused: Mutex::new(None),
        }
    }

    fn request() -> Request {
        Request {
            v: 1,
            registry: RegistryInfo {
                index_url: "sparse+https://r.example/".to_owned(),
                name: Some("r".to_owned()),
            },
            kind: "get".to_owned(),
            operation: "publish".to_owned(),
            name: "a".to_owned(),
            vers: "1.0.0".to_owned(),
            cksum: "ab".repeat(32),
        }
    }

    fn gets_token(gate: &Gate, request: &Request) -> bool {
        matches!(gate.answer(request), Answer::Token(token) if token == "secret")
    }

    #[test]
    fn the_attested_upload_gets_the_token() {
        let gate = gate(false);
        assert!(gets_token(&gate, &request()));
        assert_eq!(gate.refusal(), None);
    }

    #[test]
    fn anything_else_gets_none_and_is_remembered() {
        let changes: [fn(&mut Request); 4] = [
            |request| request.cksum = "cd".repeat(32),
            |request| request.name = "b".to_owned(),
            |request| request.vers = "1.0.1".to_owned(),
            |request| request.registry.index_url = "sparse+https://evil.example/".to_owned(),
        ];
        for change in changes {
            let (gate, mut request) = (gate(true), request());
            change(&mut request);
            assert!(matches!(gate.answer(&request), Answer::Refused(_)), "{request:?}");
            assert_eq!(gate.refusal().unwrap().code(), "not-attested");
        }
    }

    #[test]
    fn other_operations_get_none() {
        for operation in ["yank", "unyank", "owners", ""] {
            let request = Request {
                operation: operation.to_owned(),
                ..request()
            };
            assert!(
                matches!(gate(true).answer(&request), Answer::NotSupported),
                "{operation}"
            );
        }
        let login = Request {
            kind: "login".to_owned(),
            ..request()
        };
        assert!(matches!(gate(true).answer(&login), Answer::NotSupported));
    }

    #[test]
    fn reading_gets_the_token_only_where_the_registry_demands_it() {
        let read = Request {
            operation: "read".to_owned(),
            ..request()
        };
        assert!(matches!(gate(false).answer(&read), Answer::Token(token) if token == NO_TOKEN));
        assert!(gets_token(&gate(true), &read));
    }
}
