"""sigstore-python signs and verifies what a plan says (see ../README.md)."""

import hashlib
import json
import sys
from pathlib import Path

from sigstore.dsse import Statement
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity


def statement(artifact: Path) -> bytes:
    """An in-toto statement about the artifact."""
    digest = hashlib.sha256(artifact.read_bytes()).hexdigest()
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": artifact.name, "digest": {"sha256": digest}}],
            "predicateType": "https://example.org/interop/v1",
            "predicate": {"made": "by sigstore-python"},
        }
    ).encode()


def sign(plan: dict, step: dict) -> None:
    config = ClientTrustConfig.from_json(Path(plan["trust_config"]).read_text())
    config.force_tlog_version = step["log"]
    token = IdentityToken(Path(plan["token"]).read_text())
    artifact = Path(step["artifact"])
    with SigningContext.from_trust_config(config).signer(token) as signer:
        if step["kind"] == "blob":
            bundle = signer.sign_artifact(artifact.read_bytes())
        else:
            bundle = signer.sign_dsse(Statement(statement(artifact)))
    Path(step["bundle"]).write_text(bundle.to_json())


def verify(plan: dict, step: dict) -> None:
    config = ClientTrustConfig.from_json(Path(plan["trust_config"]).read_text())
    verifier = Verifier(trusted_root=config.trusted_root)
    bundle = Bundle.from_json(Path(step["bundle"]).read_bytes())
    policy = Identity(identity=plan["identity"], issuer=plan["issuer"])
    artifact = Path(step["artifact"]).read_bytes()
    if step["kind"] == "blob":
        verifier.verify_artifact(artifact, bundle, policy)
        return
    _, payload = verifier.verify_dsse(bundle, policy)
    digest = hashlib.sha256(artifact).hexdigest()
    if all(subject["digest"].get("sha256") != digest for subject in json.loads(payload)["subject"]):
        raise ValueError("no subject is the artifact")


def main() -> None:
    plan = json.load(sys.stdin)
    for step in plan["steps"]:
        try:
            {"sign": sign, "verify": verify}[step["do"]](plan, step)
            print(json.dumps({"ok": True}), flush=True)
        except Exception as error:  # every failure is a result
            causes = [f"{type(error).__name__}: {error}"]
            while error.__cause__ is not None:
                error = error.__cause__
                causes.append(f"{type(error).__name__}: {error}")
            print(json.dumps({"ok": False, "error": "; ".join(causes)}), flush=True)


main()
