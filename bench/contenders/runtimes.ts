/**
 * What is used of the runtimes' own sockets, so that every type-checker knows it.
 * @module
 */

export interface DenoConnection {
  read(into: Uint8Array): Promise<number | null>;
  write(data: Uint8Array): Promise<number>;
  close(): void;
}

export interface DenoListener extends AsyncIterable<DenoConnection> {
  accept(): Promise<DenoConnection>;
}

export interface BunSocket {
  write(data: Uint8Array): number;
  terminate(): void;
}

export interface BunHandlers {
  open?(socket: BunSocket): void;
  data(socket: BunSocket, data: Uint8Array): void;
  drain?(socket: BunSocket): void;
}

interface Globals {
  Deno?: {
    connect(options: { transport: "unix"; path: string }): Promise<DenoConnection>;
    listen(options: { transport: "unix"; path: string }): DenoListener;
  };
  Bun?: {
    connect(options: { unix: string; socket: BunHandlers }): Promise<BunSocket>;
    listen(options: { unix: string; socket: BunHandlers }): unknown;
    gc(now: boolean): void;
  };
  gc?: () => void;
}

export const globals: Globals = globalThis as Globals;

/** Collects what nobody needs, where the runtime was started so that it can be asked to. */
export function collectGarbage(): void {
  if (globals.Bun === undefined) globals.gc?.();
  else globals.Bun.gc(true);
}

/** The API of the runtime itself; node:net where it has no other. */
export function ownApi<T>(choices: { deno: T; bun: T; net: T }): T {
  if (globals.Deno !== undefined) return choices.deno;
  return globals.Bun === undefined ? choices.net : choices.bun;
}
