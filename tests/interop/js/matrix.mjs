// sigstore-js signs and verifies what a plan says (see ../README.md). Node's modules are looked for in the folder
// that this script is started in.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';

const require = createRequire(join(process.cwd(), 'package.json'));
const { bundleFromJSON, bundleToJSON } = require('@sigstore/bundle');
const { SigningConfig, TrustedRoot } = require('@sigstore/protobuf-specs');
const { bundleBuilderFromSigningConfig } = require('@sigstore/sign');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const json = (path) => JSON.parse(readFileSync(path, 'utf8'));
const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

function statement(artifact) {
  return Buffer.from(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: basename(artifact), digest: { sha256: sha256(readFileSync(artifact)) } }],
      predicateType: 'https://example.org/interop/v1',
      predicate: { made: 'by sigstore-js' },
    })
  );
}

async function sign(plan, step) {
  const signingConfig = SigningConfig.fromJSON(json(plan.trust_config).signingConfig);
  signingConfig.rekorTlogUrls = signingConfig.rekorTlogUrls.filter((log) => log.majorApiVersion === step.log);
  const builder = bundleBuilderFromSigningConfig({
    signingConfig,
    identityProvider: { getToken: async () => readFileSync(plan.token, 'utf8') },
    bundleType: step.kind === 'blob' ? 'messageSignature' : 'dsseEnvelope',
  });
  const artifact =
    step.kind === 'blob'
      ? { data: readFileSync(step.artifact) }
      : { data: statement(step.artifact), type: 'application/vnd.in-toto+json' };
  const bundle = await builder.create(artifact);
  writeFileSync(step.bundle, JSON.stringify(bundleToJSON(bundle)));
}

async function verify(plan, step) {
  const trust = toTrustMaterial(TrustedRoot.fromJSON(json(plan.trust_config).trustedRoot));
  const bundle = bundleFromJSON(json(step.bundle));
  const artifact = readFileSync(step.artifact);
  const policy = {
    subjectAlternativeName: `^${escape(plan.identity)}$`,
    extensions: { issuer: plan.issuer },
  };
  const entity = step.kind === 'blob' ? toSignedEntity(bundle, artifact) : toSignedEntity(bundle);
  new Verifier(trust).verify(entity, policy);
  if (step.kind === 'dsse') {
    const payload = JSON.parse(bundle.content.dsseEnvelope.payload.toString());
    if (!payload.subject.some((subject) => subject.digest.sha256 === sha256(artifact))) {
      throw new Error('no subject is the artifact');
    }
  }
}

const plan = JSON.parse(readFileSync(0, 'utf8'));
for (const step of plan.steps) {
  try {
    await { sign, verify }[step.do](plan, step);
    console.log(JSON.stringify({ ok: true }));
  } catch (error) {
    const causes = [];
    for (let cause = error; cause; cause = cause.cause) causes.push(`${cause.name}: ${cause.message}`);
    console.log(JSON.stringify({ ok: false, error: causes.join('; ') }));
  }
}
