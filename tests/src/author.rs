//! A release workflow without cargo: attests archives as `cargo sigstore publish` does, by the hundred.

use std::collections::BTreeMap;

use client::{Http, HttpOptions, Signer, attestations::AttestationStore, http::Endpoint, oidc::IdentityToken};
use serde_json::{Value, json};
use verify::{
    Budget, Sha256Digest,
    provenance::{self, Options, Package, PackageFacts, Provenance, Tool, package_url},
    signing_config::ClientTrustConfig,
    statement::{Statement, Subject},
};

use crate::{Doing as _, Error, Instance, Issuer, issuer::Profile};

/// The release workflow of `ferris/crockford` at GitHub, whoever's crates it publishes.
#[derive(Debug)]
pub struct Author<'a> {
    issuer: &'a Issuer,
    signer: Signer,
    store: AttestationStore,
    /// Index of the registry that the crates go to, `sparse+http://…`.
    index: String,
}

/// CycloneDX bill of materials.
pub const SBOM: &str = "https://cyclonedx.org/bom";

impl<'a> Author<'a> {
    /// An author who signs with an instance, and stores there.
    ///
    /// # Errors
    /// The trust configuration cannot be read, or no HTTP client be made.
    pub fn new(instance: &Instance, issuer: &'a Issuer, index: &str) -> Result<Self, Error> {
        let json = std::fs::read(instance.trust("trust_config.json")).doing("read the trust configuration")?;
        let trust = ClientTrustConfig::from_json(&json, &Budget::default()).doing("parse the trust configuration")?;
        let http = Http::new(HttpOptions::default()).doing("make an HTTP client")?;
        let place = Endpoint::parse(client::Service::AttestationStore, instance.url()).doing("name the store")?;
        Ok(Self {
            issuer,
            signer: Signer::new(http.clone(), trust).doing("make a signer")?,
            store: AttestationStore::new(http, place),
            index: index.to_owned(),
        })
    }

    /// Provenance, bill of materials and link of an archive, under a certificate of their own, in the store.
    ///
    /// # Errors
    /// A service refused.
    pub async fn attest(&self, name: &str, version: &str, archive: &[u8]) -> Result<(), Error> {
        let token = IdentityToken::new(self.issuer.token(Profile::GitHub)?).doing("read the token")?;
        let session = self.signer.certify(&token).await.doing("certify")?;
        let facts = PackageFacts {
            package: Package {
                name: name.to_owned(),
                version: version.to_owned(),
                path: String::new(),
            },
            options: Options::default(),
            inputs: BTreeMap::new(),
            cargo: provenance::Cargo::default(),
            tool: Tool::default(),
            lockfile: None,
            toolchain: None,
            sbom: None,
        };
        let provenance = Provenance::from_identity(session.identity(), &facts).to_value();
        let digest = Sha256Digest::of(archive);
        let purl = package_url(name, version, Some(&self.index));
        let subject = Subject::sha256(&format!("{name}-{version}.crate"), &purl, &digest);
        for (predicate_type, predicate) in [
            (provenance::PREDICATE_TYPE, provenance),
            (
                SBOM,
                json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}),
            ),
            (verify::link::PREDICATE_TYPE, link()),
        ] {
            let statement = Statement {
                subjects: vec![subject.clone()],
                predicate_type: predicate_type.to_owned(),
                predicate,
            };
            let signed = session.sign_statement(statement.to_json().as_bytes(), digest).await;
            let bundle = signed.doing("sign")?.bundle;
            self.store.put(&bundle, &digest).await.doing("store the bundle")?;
        }
        Ok(())
    }
}

fn link() -> Value {
    json!({"name": "package", "command": ["cargo", "package"], "materials": [], "byproducts": {"return-value": 0},
           "environment": {}})
}
