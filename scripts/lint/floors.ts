/**
 * The floors of the house: which room stands below which, and what each may import. `deno lint` holds them by
 * scripts/lint/house.ts.
 * @module
 */

/** Rooms side by side, which do not import each other. */
interface Floor {
  /** A folder with its slash, a file, or `*.ts`: the files at the top. The longest name that fits a file is its room. */
  readonly rooms: readonly string[];
  /** What these rooms may import, if it is on a lower floor. */
  readonly sees: readonly string[];
}

const library = ["src/", "ffi/mod.ts"];
const publicRooms = [
  "src/address.ts",
  "src/authorize.ts",
  "src/credentials.ts",
  "src/datagram.ts",
  "src/errors.ts",
  "src/fd/",
  "src/listener.ts",
  "src/seqpacket.ts",
  "src/stream.ts",
  "src/util/",
  "ffi/mod.ts",
];
const guests = [
  "src/framing/",
  "src/http/",
  "src/node/",
  "src/process/",
  "src/shm/",
  "src/systemd/",
];

/** From the ground up. */
const floors: readonly Floor[] = [
  { rooms: ["ffi/abi/"], sees: [] },
  { rooms: ["ffi/structs/"], sees: ["ffi/abi/"] },
  { rooms: ["ffi/"], sees: ["ffi/"] },
  { rooms: ["ffi/mod.ts", "ffi/debug/"], sees: ["ffi/"] },
  { rooms: ["src/util/"], sees: library },
  { rooms: ["src/address.ts", "src/errors.ts"], sees: library },
  { rooms: ["src/io/"], sees: library },
  { rooms: ["src/fd/"], sees: library },
  { rooms: ["src/credentials.ts"], sees: library },
  { rooms: ["src/authorize.ts"], sees: library },
  { rooms: ["src/socket/"], sees: library },
  { rooms: ["src/message/"], sees: library },
  { rooms: ["src/stream.ts"], sees: library },
  { rooms: ["src/datagram.ts", "src/listener.ts", "src/seqpacket.ts"], sees: library },
  { rooms: guests, sees: publicRooms },
  { rooms: ["src/debug/"], sees: [...publicRooms, "ffi/debug/"] },
  { rooms: ["*.ts"], sees: library },
  { rooms: ["debug.ts"], sees: ["src/debug/", "ffi/debug/"] },
  { rooms: ["cli/"], sees: ["*.ts", "ffi/mod.ts"] },
  { rooms: ["cli.ts"], sees: ["cli/"] },
];

/** What may import modules of a runtime, such as `node:fs`. */
const runtimeUsers = ["ffi/runtime/", "cli/", "cli.ts", "node.ts"];

/** Every room, by its name in the table. */
export const rooms: readonly string[] = floors.flatMap((floor) => floor.rooms);

/** The room that holds a file, which is given by its path from the root; undefined if the file is outside the house. */
export function roomOf(path: string): string | undefined {
  return rooms.filter((room) => covers(room, path)).sort((a, b) => b.length - a.length)[0];
}

/** What is wrong with an import of one file by another in the house, or undefined. */
export function wrongImport(path: string, target: string): string | undefined {
  const [room, targetRoom] = [roomOf(path)!, roomOf(target)];
  if (targetRoom === undefined) return `${target} is no part of the library`;
  if (targetRoom === room) return undefined;
  if (heightOf(targetRoom) >= heightOf(room)) {
    return `Imports point down only, but ${target} is not below ${room}`;
  }
  if (floors[heightOf(room)]!.sees.some((name) => covers(name, target))) return undefined;
  return `${room} may not import ${target}`;
}

/** Whether a file may import modules of a runtime. */
export function mayImportRuntime(path: string): boolean {
  return runtimeUsers.some((name) => covers(name, path));
}

function heightOf(room: string): number {
  return floors.findIndex(({ rooms }) => rooms.includes(room));
}

function covers(name: string, path: string): boolean {
  if (name === "*.ts") return /^[^/]+\.ts$/.test(path);
  return name.endsWith("/") ? path.startsWith(name) : path === name;
}
