//! The token that uploads to a registry. It is never printed, logged or put into a child's environment.

use toml::Table;
use zeroize::Zeroizing;

use crate::{
    context::Context,
    failure::{Exit, Failure},
    registry::selection::{Registry, cargo_home, variable_part},
};

/// A registry token; its memory is wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct RegistryToken(Zeroizing<String>);

impl RegistryToken {
    /// Finds the token for a registry: `CARGO_SIGSTORE_REGISTRY_TOKEN`, then where cargo looks:
    /// `CARGO_REGISTRY_TOKEN` or `CARGO_REGISTRIES_NAME_TOKEN`, then `credentials.toml`.
    ///
    /// # Errors
    /// Code `registry-token` when there is none.
    pub(crate) fn find(context: &Context, registry: &Registry) -> Result<Self, Failure> {
        let own = context.variable(OWN_VARIABLE).and_then(Self::read);
        own.or_else(|| Self::of_cargo(context, registry))
            .ok_or_else(|| Self::missing(registry))
    }

    /// The token that cargo has for a registry. Our own variable is for the one that the user named, so it is not looked at.
    pub(crate) fn of_cargo(context: &Context, registry: &Registry) -> Option<Self> {
        let found = context.variable(&variable(registry));
        found.or_else(|| from_file(context, registry)).and_then(Self::read)
    }

    fn read(text: String) -> Option<Self> {
        let text = Zeroizing::new(text);
        let trimmed = text.trim();
        (!trimmed.is_empty()).then(|| Self(Zeroizing::new(trimmed.to_owned())))
    }

    /// That there is no token, with code `registry-token`, for a registry that needs one.
    pub(crate) fn missing(registry: &Registry) -> Failure {
        let error = Error::Missing {
            registry: registry.display_name().to_owned(),
        };
        Failure::new(Exit::Usage, "registry-token", &error).hint(format_args!(
            "set `{}` or `{OWN_VARIABLE}`, or run `cargo login`",
            variable(registry)
        ))
    }

    /// A token that the registry gave in exchange for an identity; none when it is none that a header could carry.
    pub(crate) fn exchanged(text: &str) -> Option<Self> {
        let fit = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fit.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The token itself, for the one place that sends it.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }

    /// A token from its text.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl std::fmt::Debug for RegistryToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RegistryToken(…)")
    }
}

/// Cargo's own variable.
fn variable(registry: &Registry) -> String {
    registry.name.as_deref().map_or_else(
        || "CARGO_REGISTRY_TOKEN".to_owned(),
        |name| format!("CARGO_REGISTRIES_{}_TOKEN", variable_part(name)),
    )
}

fn from_file(context: &Context, registry: &Registry) -> Option<String> {
    let home = cargo_home(context)?;
    let text = ["credentials.toml", "credentials"]
        .iter()
        .find_map(|name| std::fs::read_to_string(home.join(name)).ok())
        .map(Zeroizing::new)?;
    let table: Table = text.parse().ok()?;
    let section = match &registry.name {
        None => table.get("registry")?,
        Some(name) => table.get("registries")?.get(name)?,
    };
    section.get("token")?.as_str().map(str::to_owned)
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no token for the registry `{registry}`")]
    Missing { registry: String },
}

/// Our own variable: cargo does not read it, so a plain `cargo` in the same job holds no token.
const OWN_VARIABLE: &str = "CARGO_SIGSTORE_REGISTRY_TOKEN";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_show() {
        let token = RegistryToken::of("cio_secret");
        assert_eq!(format!("{token:?}"), "RegistryToken(…)");
        assert_eq!(token.secret(), "cio_secret");
    }
}
