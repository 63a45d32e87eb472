/**
 * Control messages that no kernel wrote. Each test is as random as AFUNIX_SEED says, a number in
 * the environment, and the same every time without it; a failure names the seed and the bytes.
 */

import { test } from "node:test";
import { cmsg } from "../../ffi/mod.ts";
import {
  CANARY,
  controlBytes,
  type ControlPiece,
  type ControlShape,
  CREDENTIALS,
  hex,
  int32s,
  LINUX,
  MACOS,
  PIDFD,
  putLength,
  RIGHTS,
  SECURITY,
} from "../support/control_messages.ts";
import { pick, type Random, random, SEED } from "../support/random.ts";

const SHAPES = [LINUX, MACOS];

/** What a parser found, as numbers and text that compare quickly. */
interface Found {
  fds: number[];
  pidfds: number[];
  credentials: string;
  context: string;
  malformed: boolean;
}

/**
 * The simplest parser that could be right: it takes a piece off the front until none is left, and
 * knows nothing but these bytes, which are a copy.
 */
function reference(shape: ControlShape, bytes: Uint8Array): Found {
  const found: Found = { fds: [], pidfds: [], credentials: "", context: "", malformed: false };
  let rest = bytes.slice();
  while (rest.length >= shape.header) {
    const claimed = little(rest, 0, shape.lengthWidth);
    if (claimed < shape.header) {
      found.malformed = true;
      return found;
    }
    const isWhole = claimed <= rest.length;
    if (!isWhole) found.malformed = true;
    const payload = isWhole ? rest.slice(shape.header, Number(claimed)) : rest.slice(shape.header);
    const level = Number(little(rest, shape.lengthWidth, 4));
    const type = Number(little(rest, shape.lengthWidth + 4, 4));
    if (level === shape.socketLevel) takePiece(shape, type, payload, isWhole, found);
    if (!isWhole) return found;
    const unit = BigInt(shape.unit);
    rest = rest.slice(Number((claimed + unit - 1n) / unit * unit));
  }
  if (rest.length > 0) found.malformed = true;
  return found;
}

function takePiece(
  shape: ControlShape,
  type: number,
  payload: Uint8Array,
  isWhole: boolean,
  found: Found,
): void {
  if (type === RIGHTS || type === PIDFD && shape === LINUX) {
    const into = type === RIGHTS ? found.fds : found.pidfds;
    for (let i = 0; i < Math.floor(payload.length / 4); i++) {
      const number = Number(little(payload, 4 * i, 4));
      if (number < 2 ** 31) into.push(number);
      else found.malformed = true;
    }
    if (payload.length % 4 > 0) found.malformed = true;
  }
  if (type === CREDENTIALS && shape === LINUX) {
    if (payload.length !== 12 || !isWhole) found.malformed = true;
    else found.credentials = hex(payload);
  }
  if (type === SECURITY && shape === LINUX) {
    found.context = `"${hex(payload).replace(/^((?:..)*?)00.*/, "$1")}"`;
  }
}

/** A little-endian number of so many bytes. */
function little(bytes: Uint8Array, at: number, width: number): bigint {
  let number = 0n;
  for (let i = width - 1; i >= 0; i--) number = number * 256n + BigInt(bytes[at + i]!);
  return number;
}

/** What the library's parser found. */
function library(shape: ControlShape, bytes: Uint8Array): Found {
  const found = cmsg.parseControl(shape.abi, bytes);
  const { fds, pidfds, credentials, securityContext, malformed } = found;
  let ids = "";
  if (credentials !== null) {
    // Each id within its own range: a pid is signed, and the others are not.
    const { pid, uid, gid } = credentials;
    if (pid !== (pid | 0) || uid !== uid >>> 0 || gid !== gid >>> 0) throw new Error("no ids");
    ids = hex(int32s(pid, uid, gid));
  }
  const context = securityContext === null ? "" : `"${hex(securityContext)}"`;
  return { fds, pidfds, credentials: ids, context, malformed };
}

/** Whether one of these bytes came from where nobody may read. */
function isCanary(number: number): boolean {
  for (let shift = 0; shift < 32; shift += 8) if ((number >>> shift & 0xff) === CANARY) return true;
  return false;
}

/** Memory full of canaries; the bytes under test stand somewhere in it. */
const memory = new Uint8Array(4096);

/**
 * Parses bytes, in which there is no canary, in the middle of canaries, and compares with the
 * reference; what it should find besides is known where the bytes were made.
 */
function check(
  shape: ControlShape,
  rounds: Random,
  bytes: Uint8Array,
  round: number,
  expected?: number[],
): Found {
  const start = rounds(64);
  memory.fill(CANARY, 0, start);
  memory.set(bytes, start);
  memory.fill(CANARY, start + bytes.length, start + bytes.length + 512);
  const fail = (what: string): never => {
    throw new Error(
      `${shape.name}, AFUNIX_SEED=${SEED}, round ${round}, offset ${start}: ${what}\n${hex(bytes)}`,
    );
  };
  let found: Found;
  try {
    found = library(shape, memory.subarray(start, start + bytes.length));
  } catch (error) {
    return fail(`parseControl() threw ${error}`);
  }
  const own = JSON.stringify(found);
  const other = JSON.stringify(reference(shape, bytes));
  if (own !== other) fail(`${own} instead of ${other}`);
  if (found.fds.some(isCanary) || found.pidfds.some(isCanary)) fail(`a canary in ${own}`);
  const hexCanary = CANARY.toString(16);
  for (const digits of [found.credentials, found.context.slice(1, -1)]) {
    if (digits.match(/../g)?.includes(hexCanary)) fail(`a canary in ${own}`);
  }
  if (expected !== undefined && String(found.fds) !== String(expected)) {
    fail(`the descriptors ${found.fds} instead of ${expected}`);
  }
  return found;
}

/** Takes every canary out of bytes that are to be read. */
function withoutCanaries(bytes: Uint8Array): Uint8Array {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === CANARY) bytes[i] = CANARY + 1;
  return bytes;
}

function randomBytes(rounds: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = rounds(256);
  return bytes;
}

/** Control messages as a kernel may write them, and the descriptors in them, each number once. */
function validPieces(rounds: Random): { pieces: ControlPiece[]; fds: number[] } {
  const pieces: ControlPiece[] = [];
  const fds: number[] = [];
  let next = rounds(1000) * 256 * 256;
  for (let count = rounds(6); count > 0; count--) {
    const numbers = Array.from({ length: pick(rounds, [0, 1, 1, 2, 3, 4, 7, 30]) }, () => next++);
    const kind = rounds(8);
    if (kind < 4) {
      pieces.push({ type: RIGHTS, payload: withoutCanaries(int32s(...numbers)) });
    } else if (kind === 4) {
      pieces.push({ type: PIDFD, payload: int32s(pick(rounds, [-3, 0, 77, next++])) });
    } else if (kind === 5) {
      pieces.push({ type: CREDENTIALS, payload: randomBytes(rounds, 12) });
    } else if (kind === 6) {
      pieces.push({ type: SECURITY, payload: randomBytes(rounds, rounds(40)) });
    } else {
      const level = pick(rounds, [0, 1, 41, 0xffff, -1]);
      // Not one of the types above, so that these numbers are nobody's.
      pieces.push({ level, type: 5 + rounds(60), payload: int32s(...numbers) });
    }
  }
  for (const { type, payload } of pieces) {
    withoutCanaries(payload);
    const view = new DataView(payload.buffer);
    if (type !== RIGHTS) continue;
    for (let at = 0; at < payload.length; at += 4) fds.push(view.getInt32(at, true));
  }
  return { pieces, fds };
}

/** A length that a header should not have, or might just have. */
function strangeLength(rounds: Random, shape: ControlShape, actual: bigint): bigint {
  const small = BigInt(rounds(64));
  switch (rounds(9)) {
    case 0:
      return 0n;
    case 1:
      return BigInt(rounds(shape.header));
    case 2:
      return BigInt(shape.header) + small;
    case 3:
      // The next header begins within this payload.
      return BigInt(shape.header + 4 * rounds(8));
    case 4:
      return actual + small;
    case 5:
      return 2n ** 32n + pick(rounds, [0n, actual, small, -small]);
    case 6:
      return pick(rounds, [2n ** 31n, 2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 32n - small]);
    case 7:
      return pick(rounds, [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 63n + actual]);
    default:
      return pick(rounds, [2n ** 64n - 1n, 2n ** 64n - 8n, 2n ** 64n - 16n + actual]);
  }
}

/** Changes a sequence of control messages in one place. */
function mutate(rounds: Random, shape: ControlShape, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return randomBytes(rounds, rounds(40));
  const headers: number[] = [];
  for (let at = 0; at + shape.header <= bytes.length;) {
    headers.push(at);
    const length = Number(little(bytes, at, shape.lengthWidth));
    at += Math.max(shape.header, Math.ceil(length / shape.unit) * shape.unit);
  }
  const at = headers.length === 0 ? 0 : pick(rounds, headers);
  const kind = headers.length === 0 ? 3 + rounds(3) : rounds(6);
  const changed = bytes.slice();
  if (kind < 2) {
    const actual = little(bytes, at, shape.lengthWidth);
    putLength(shape, changed, at, BigInt.asUintN(64, strangeLength(rounds, shape, actual)));
  } else if (kind === 2) {
    // Another level or type: bytes 0 to 7 behind the length.
    changed[at + shape.lengthWidth + rounds(8)] = pick(rounds, [0, 1, 2, 3, 4, 255]);
  } else if (kind === 3) {
    return bytes.slice(0, rounds(bytes.length));
  } else if (kind === 4) {
    changed[rounds(bytes.length)] = rounds(256);
  } else {
    const where = rounds(bytes.length);
    const added = randomBytes(rounds, 1 + rounds(20));
    return Uint8Array.of(...bytes.slice(0, where), ...added, ...bytes.slice(where));
  }
  return changed;
}

for (const [stream, shape] of SHAPES.entries()) {
  test(`N238 parseControl() agrees with the reference on 30,000 buffers of random bytes, as on ${shape.name}`, () => {
    const rounds = random(10 + stream);
    let found = 0;
    for (let round = 0; round < 30_000; round++) {
      const bytes = randomBytes(rounds, rounds(100));
      // Bytes that are small numbers look more like headers.
      if (round % 2 === 0) { for (let i = 0; i < bytes.length; i++) bytes[i]! %= 3; }
      if (round % 4 === 0 && bytes.length >= shape.header) {
        putLength(shape, bytes, 0, BigInt(shape.header + rounds(100)));
        new DataView(bytes.buffer).setUint32(shape.lengthWidth, shape.socketLevel, true);
      }
      withoutCanaries(bytes);
      found += check(shape, rounds, bytes, round).fds.length;
    }
    if (found === 0) throw new Error("no round had a descriptor in it");
  });

  test(`N239 parseControl() finds each descriptor once in 30,000 sequences that are right, as on ${shape.name}`, () => {
    const rounds = random(20 + stream);
    for (let round = 0; round < 30_000; round++) {
      const { pieces, fds } = validPieces(rounds);
      const bytes = withoutCanaries(controlBytes(shape, pieces));
      // Of the padding at the end some may be missing.
      const last = pieces.at(-1)?.payload.length ?? 0;
      const padding = Math.ceil(last / shape.unit) * shape.unit - last;
      const size = bytes.length - rounds(padding + 1);
      check(shape, rounds, bytes.subarray(0, size), round, fds);
    }
  });

  test(`N238 parseControl() agrees with the reference on 60,000 sequences that went wrong, as on ${shape.name}`, () => {
    const rounds = random(30 + stream);
    let [malformed, intact] = [0, 0];
    for (let round = 0; round < 60_000; round++) {
      let bytes: Uint8Array = controlBytes(shape, validPieces(rounds).pieces);
      for (let changes = 1 + rounds(3); changes > 0; changes--) {
        bytes = mutate(rounds, shape, bytes);
      }
      const found = check(shape, rounds, withoutCanaries(bytes), round);
      if (found.malformed) malformed++;
      else intact++;
    }
    if (malformed < 10_000 || intact < 1000) throw new Error(`${malformed} were malformed`);
  });
}
