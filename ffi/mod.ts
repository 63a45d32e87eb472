/**
 * The FFI floor: the only rooms that know a runtime, an address in memory or an ABI.
 * @module
 */

export { native } from "./native.ts";
export { UnixSocketError, type UnixSocketErrorInit } from "./errors.ts";
export { checked, failure, type FailureContext, linuxConstants, refusal } from "./call.ts";
export { errnoName, errnoNumber } from "./errno.ts";
export type { Watcher } from "./runtime.ts";
export { clearTimeout, now, queueMicrotask, setImmediate, setTimeout } from "./timers.ts";
export { runtimeName } from "./runtime_name.ts";
export { failAtEnd, onEnding, onExit, onIdle } from "./exit.ts";
export type { Debugging } from "./debug.ts";
export { currentPlace } from "./debug_errors.ts";
export { createPoller } from "./new_poller.ts";
export { FOR_READING, FOR_WRITING, type Poller } from "./poller.ts";
export { Mapping } from "./mapping.ts";
export { MessageBlock } from "./message_block.ts";
export { darwinPeerUser } from "./darwin_credentials.ts";
export { environmentVariable } from "./environment.ts";
export { inspectNodeSocket, openNodeSocket } from "./node_socket.ts";
export { type BoundInode, boundInodes } from "./sock_diag.ts";
export * as cmsg from "./cmsg.ts";
export * as file from "./file.ts";
export * as sockets from "./socket.ts";
export * as sockaddr from "./sockaddr.ts";
