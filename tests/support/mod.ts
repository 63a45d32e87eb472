/** What tests share. */
export * from "./process.ts";
export * from "./runtime.ts";
export * from "./sockets.ts";
