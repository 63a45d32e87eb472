/**
 * The FFI floor: the only rooms that know a runtime, an address in memory or an ABI.
 * @module
 */

export { type Debugging, installDebugging, native, type OwnedDescriptor } from "./native.ts";
export { UnixSocketError, type UnixSocketErrorInit } from "./errors.ts";
export {
  checked,
  failure,
  type FailureContext,
  isShortage,
  linuxConstants,
  refusal,
} from "./libc/failure.ts";
export { errnoName, errnoNumber } from "./libc/errno_names.ts";
export type { Watcher } from "./runtime/runtime.ts";
export { builtinModule } from "./runtime/builtin_module.ts";
export { clearTimeout, queueMicrotask, setImmediate, setTimeout } from "./runtime/timers.ts";
export { runtimeName } from "./runtime/runtime_name.ts";
export { failAtEnd, onEnding, onExit, onIdle } from "./runtime/exit.ts";
export { createPoller } from "./create_poller.ts";
export { FOR_READING, FOR_WRITING, type Poller } from "./poller.ts";
export { monotonicMicroseconds } from "./libc/clock.ts";
export { Mapping } from "./libc/mapping.ts";
export { openPidfd, signalPidfd } from "./libc/process.ts";
export { MessageBlock } from "./libc/message_block.ts";
export { darwinPeerUser } from "./darwin/credentials.ts";
export { environmentVariable, environmentWith } from "./runtime/environment.ts";
export { inspectNodeSocket, openNodeSocket } from "./runtime/net_socket.ts";
export { type BoundInode, boundInodes } from "./linux/sock_diag.ts";
export * as cmsg from "./structs/cmsg.ts";
export * as file from "./libc/file.ts";
export * as sockets from "./libc/socket.ts";
export * as sockaddr from "./structs/sockaddr.ts";
