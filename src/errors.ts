/**
 * The error type of the whole library.
 * @module
 */

export { UnixSocketError, type UnixSocketErrorInit } from "../ffi/mod.ts";
