/**
 * HTTP/1.1 over Unix sockets of every kind: `node:http` servers over listeners of this library, with
 * the peer's credentials on each request, and a `fetch` for any address.
 *
 * @example
 * ```ts
 * import { createServer } from "node:http";
 * import { UnixListener } from "@afunix/afunix";
 * import { createFetch, peerCredentialsOf, serve } from "@afunix/afunix/http";
 *
 * const server = createServer((request, response) => {
 *   response.end(JSON.stringify(peerCredentialsOf(request)));
 * });
 * await using _service = serve(UnixListener.listen("\0whoami"), server);
 *
 * using fetch = createFetch("\0whoami", { authorize: { uid: [0, 1000] } });
 * console.log(await (await fetch("/")).json());
 * ```
 *
 * @module
 */

export type { AddressLike } from "./src/address.ts";
export type { AllowedPeers } from "./src/authorize.ts";
export type { Credentials } from "./src/credentials.ts";
export { createFetch, type CreateFetchOptions, type UnixFetch } from "./src/http/fetch.ts";
export type { AllowedServers, AuthorizeServer, ServerPeer } from "./src/http/peer.ts";
export { type ConnectionServer, HttpService, peerCredentialsOf, serve } from "./src/http/serve.ts";
export type { SignalOption } from "./src/util/validate.ts";
