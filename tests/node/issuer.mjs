// A certified OpenID Connect issuer on loopback: device grant, JWT access tokens with groups; with REDIRECT_URI and SECRET also a
// web client, whose ID tokens tell groups. Usage: node issuer.mjs PORT [REDIRECT_URI SECRET]
// Prints "listening" when it answers; ends with its standard input.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';

const port = Number(process.argv[2]);
const [redirectUri, secret] = process.argv.slice(3);
const webClient = {
  client_id: 'hoop-web', client_secret: secret, redirect_uris: [redirectUri], grant_types: ['authorization_code'], response_types: ['code'],
};
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const resource = 'urn:hoop';

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'hoop-cli',
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
    redirect_uris: [],
    response_types: [],
  }, ...(redirectUri ? [webClient] : [])],
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username', 'groups'] },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, preferred_username: id, groups: ['dba'] }),
  }),
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'first' }] },
  scopes: ['openid', 'db'],
  extraTokenClaims: (_ctx, token) => ({ preferred_username: token.accountId, groups: ['engineering'] }),
  features: {
    deviceFlow: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => ctx.oidc.client?.clientId === 'hoop-web' ? undefined : resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'db',
        audience: 'hoop',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 3600,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});

provider.listen(port, '127.0.0.1', () => console.log('listening'));
process.stdin.on('end', () => process.exit(0)).resume();
