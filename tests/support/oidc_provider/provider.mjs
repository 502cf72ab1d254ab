// A real OpenID provider on loopback for tests: `node provider.mjs <port> <redirect URI> <kid>`.
// It signs everybody in who names themselves in its own development form; its keys live as long as the process does.
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, redirectUri, kid] = process.argv.slice(2);
const AUDIENCE = "https://tasks.example.org";

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    { client_id: "taskforge", client_secret: "a secret of the client", redirect_uris: [redirectUri], id_token_signed_response_alg: "ES256" },
    { client_id: "robot", client_secret: "a secret of the robot", redirect_uris: [], response_types: [], grant_types: ["client_credentials"], id_token_signed_response_alg: "ES256" },
  ],
  jwks: { keys: [{ ...key, kid, use: "sig", alg: "ES256" }] },
  cookies: { keys: ["of no use to anybody"] },
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.org`, email_verified: true, name: `${id[0].toUpperCase()}${id.slice(1)}` }),
  }),
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => (ctx.oidc.client.clientId === "robot" ? AUDIENCE : undefined),
      getResourceServerInfo: () => ({ scope: "", audience: AUDIENCE, accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } }),
    },
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
