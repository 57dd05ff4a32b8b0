//! The `identity.yaml` that `init` writes: the public CI providers, and the issuers the operator named.

use url::Url;

use super::issuer::{IssuerSpec, IssuerType};

/// The text of a new `identity.yaml`. A named issuer replaces a public one of the same URL.
#[must_use]
pub(crate) fn identity_yaml(named: &[IssuerSpec]) -> String {
    let mut issuers = String::new();
    let mut metadata = String::new();
    for (kind, base) in PROVIDERS {
        metadata.push_str(&provider(kind.as_str(), kind, base));
    }
    for (url, kind, provider_name) in PUBLIC_ISSUERS {
        if named.iter().all(|spec| spec.url != url) {
            issuers.push_str(&entry(url, kind, provider_name, None, false));
        }
    }
    for spec in named {
        let mut provider_name = spec.kind.as_str().to_owned();
        if let Some(base) = own_base(spec) {
            provider_name = format!("{provider_name} at {}", spec.url);
            metadata.push_str(&provider(&provider_name, spec.kind, &base));
        }
        let domain = spec.subject_domain.as_deref();
        issuers.push_str(&entry(
            &spec.url,
            spec.kind,
            &provider_name,
            domain,
            spec.is_loopback_http(),
        ));
    }
    metadata.push_str(&codeberg());
    format!("{HEADER}oidc-issuers:\n{issuers}{META_ISSUERS}ci-issuer-metadata:\n{metadata}")
}

/// The base URL that a named CI issuer needs a provider of its own for.
fn own_base(spec: &IssuerSpec) -> Option<String> {
    if let Some(base) = &spec.base_url {
        return Some(base.clone());
    }
    let url = Url::parse(&spec.url).ok()?;
    match spec.kind {
        IssuerType::ForgejoActions => Some(spec.url.trim_end_matches("/api/actions").to_owned()),
        IssuerType::GitlabPipeline if url.scheme() == "https" => Some(spec.url.trim_end_matches('/').to_owned()),
        IssuerType::GithubWorkflow
        | IssuerType::GitlabPipeline
        | IssuerType::BuildkiteJob
        | IssuerType::Email
        | IssuerType::Uri => None,
    }
}

fn entry(url: &str, kind: IssuerType, provider: &str, subject_domain: Option<&str>, loopback: bool) -> String {
    use std::fmt::Write as _;
    let mut text = format!(
        "  {}:\n    issuer-url: {}\n    client-id: sigstore\n",
        quoted(url),
        quoted(url)
    );
    let kind = match kind {
        IssuerType::Email => "    type: email\n".to_owned(),
        IssuerType::Uri => "    type: uri\n".to_owned(),
        IssuerType::GithubWorkflow
        | IssuerType::GitlabPipeline
        | IssuerType::ForgejoActions
        | IssuerType::BuildkiteJob => format!("    type: ci-provider\n    ci-provider: {}\n", quoted(provider)),
    };
    text.push_str(&kind);
    if let Some(domain) = subject_domain {
        let _ = writeln!(text, "    subject-domain: {}", quoted(domain));
    }
    if loopback {
        text.push_str("    allow-loopback-http: true\n");
    }
    text
}

fn provider(name: &str, kind: IssuerType, base: &str) -> String {
    let templates = match kind {
        IssuerType::GithubWorkflow => GITHUB,
        IssuerType::GitlabPipeline => GITLAB,
        IssuerType::ForgejoActions => FORGEJO,
        IssuerType::BuildkiteJob => BUILDKITE,
        IssuerType::Email | IssuerType::Uri => return String::new(),
    };
    format!(
        "  {}:\n    default-template-values:\n      url: {}\n{templates}",
        quoted(name),
        quoted(base)
    )
}

fn codeberg() -> String {
    provider(
        "forgejo-actions at codeberg.org",
        IssuerType::ForgejoActions,
        "https://codeberg.org",
    )
}

/// A YAML double-quoted scalar; JSON strings are such scalars.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Providers that every new configuration has, with the base of their URLs.
const PROVIDERS: [(IssuerType, &str); 3] = [
    (IssuerType::GithubWorkflow, "https://github.com"),
    (IssuerType::GitlabPipeline, "https://gitlab.com"),
    (IssuerType::BuildkiteJob, "https://buildkite.com"),
];

/// Issuers that every new configuration accepts.
const PUBLIC_ISSUERS: [(&str, IssuerType, &str); 4] = [
    (
        "https://token.actions.githubusercontent.com",
        IssuerType::GithubWorkflow,
        "github-workflow",
    ),
    ("https://gitlab.com", IssuerType::GitlabPipeline, "gitlab-pipeline"),
    (
        "https://codeberg.org/api/actions",
        IssuerType::ForgejoActions,
        "forgejo-actions at codeberg.org",
    ),
    ("https://agent.buildkite.com", IssuerType::BuildkiteJob, "buildkite-job"),
];

const HEADER: &str = "\
# Who may have a signing certificate, and what it will say. The format is that of Fulcio's identity configuration.
# Types: ci-provider, email, uri. Beyond Fulcio, per issuer: allow-loopback-http,
# single-use-tokens, certificates-per-minute.
";

/// GitHub Enterprise Cloud gives each enterprise a slug below the public issuer.
const META_ISSUERS: &str = "\
meta-issuers:
  https://token.actions.githubusercontent.com/*:
    client-id: sigstore
    type: ci-provider
    ci-provider: github-workflow
";

/// Claims: docs.github.com, OpenID Connect reference. The name of the reusable workflow that ran is the identity.
const GITHUB: &str = r#"      environment: ""
    extension-templates:
      github-workflow-trigger: event_name
      github-workflow-sha: sha
      github-workflow-name: workflow
      github-workflow-repository: repository
      github-workflow-ref: ref
      build-signer-uri: "{{ .url }}/{{ .job_workflow_ref }}"
      build-signer-digest: job_workflow_sha
      runner-environment: runner_environment
      source-repository-uri: "{{ .url }}/{{ .repository }}"
      source-repository-digest: sha
      source-repository-ref: ref
      source-repository-identifier: repository_id
      source-repository-owner-uri: "{{ .url }}/{{ .repository_owner }}"
      source-repository-owner-identifier: repository_owner_id
      build-config-uri: "{{ .url }}/{{ .workflow_ref }}"
      build-config-digest: workflow_sha
      build-trigger: event_name
      run-invocation-uri: "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}"
      source-repository-visibility-at-signing: repository_visibility
      deployment-environment: environment
    subject-alternative-name-template: "{{ .url }}/{{ .job_workflow_ref }}"
"#;

/// Claims: docs.gitlab.com, ID token payload.
const GITLAB: &str = r#"      environment: ""
    extension-templates:
      build-signer-uri: "https://{{ .ci_config_ref_uri }}"
      build-signer-digest: ci_config_sha
      runner-environment: runner_environment
      source-repository-uri: "{{ .url }}/{{ .project_path }}"
      source-repository-digest: sha
      source-repository-ref: 'refs/{{ if eq .ref_type "branch" }}heads{{ else }}tags{{ end }}/{{ .ref }}'
      source-repository-identifier: project_id
      source-repository-owner-uri: "{{ .url }}/{{ .namespace_path }}"
      source-repository-owner-identifier: namespace_id
      build-config-uri: "https://{{ .ci_config_ref_uri }}"
      build-config-digest: ci_config_sha
      build-trigger: pipeline_source
      run-invocation-uri: "{{ .url }}/{{ .project_path }}/-/jobs/{{ .job_id }}"
      source-repository-visibility-at-signing: project_visibility
      deployment-environment: environment
    subject-alternative-name-template: "https://{{ .ci_config_ref_uri }}"
"#;

/// Claims: forgejo.org, OpenID Connect for Actions (Forgejo 15). There is no reusable-workflow claim: the workflow is the identity.
const FORGEJO: &str = r#"    extension-templates:
      build-signer-uri: "{{ .url }}/{{ .workflow_ref }}"
      source-repository-uri: "{{ .url }}/{{ .repository }}"
      source-repository-digest: sha
      source-repository-ref: ref
      source-repository-identifier: repository_id
      source-repository-owner-uri: "{{ .url }}/{{ .repository_owner }}"
      source-repository-owner-identifier: repository_owner_id
      build-config-uri: "{{ .url }}/{{ .workflow_ref }}"
      build-trigger: event_name
      run-invocation-uri: "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}"
    subject-alternative-name-template: "{{ .url }}/{{ .workflow_ref }}"
"#;

/// Claims: buildkite.com, OIDC in Buildkite Pipelines.
const BUILDKITE: &str = r#"    extension-templates:
      runner-environment: runner_environment
      source-repository-digest: build_commit
      build-trigger: build_source
      run-invocation-uri: "{{ .url }}/{{ .organization_slug }}/{{ .pipeline_slug }}/builds/{{ .build_number }}#{{ .job_id }}"
    subject-alternative-name-template: "{{ .url }}/{{ .organization_slug }}/{{ .pipeline_slug }}"
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::IdentityConfig;

    #[test]
    fn the_new_configuration_loads() {
        let named: Vec<IssuerSpec> = [
            "http://127.0.0.1:9/github,type=github-workflow",
            "http://127.0.0.1:9/forgejo/api/actions,type=forgejo-actions",
            "https://gitlab.example.com,type=gitlab-pipeline",
            "https://id.example.com,type=uri,subject-domain=https://svc.example.com",
            "https://gitlab.com,type=gitlab-pipeline,url=https://gitlab.com",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let config = IdentityConfig::from_yaml(&identity_yaml(&named)).unwrap();
        for spec in &named {
            assert!(config.find(&spec.url).is_some(), "{}", spec.url);
        }
        for (url, ..) in PUBLIC_ISSUERS {
            assert!(config.find(url).is_some(), "{url}");
        }
        assert!(
            config
                .find("https://token.actions.githubusercontent.com/acme")
                .is_some()
        );
    }
}
