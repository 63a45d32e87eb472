/**
 * Values of D-Bus as bytes, as far as the tests need them: written and read by their signature.
 *
 * Numbers and strings are what they are in JavaScript, arrays and structs are arrays, dictionaries are
 * maps, `v` is a {@linkcode Variant}, and `h` the number of a descriptor in its message. See
 * "Marshaling" in the D-Bus specification.
 * @module
 */

/** A value that brings its signature along. */
export interface Variant {
  signature: string;
  value: unknown;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** At which multiples the values of a type begin, by the type's first letter. */
const ALIGNMENT: Record<string, number> = {
  ...{ y: 1, b: 4, u: 4, h: 4, s: 4, o: 4, g: 1, v: 1, a: 4, "(": 8, "{": 8 },
};

/** The complete types of a signature: "a{sv}(uh)s" has three. */
function typesOf(signature: string): string[] {
  const types: string[] = [];
  for (let start = 0, at = 0; at < signature.length; start = at) {
    while (signature[at] === "a") at++;
    let depth = 0;
    do {
      if ("({".includes(signature[at]!)) depth++;
      if (")}".includes(signature[at]!)) depth--;
      at++;
    } while (depth > 0);
    types.push(signature.slice(start, at));
  }
  return types;
}

/** What is between the brackets of a struct or of a dictionary's entry. */
function membersOf(type: string): string[] {
  return typesOf(type.slice(1, -1));
}

/** Writes values, the lowest byte of a number first. */
export class Writer {
  #memory = new Uint8Array(256);
  #length = 0;

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#memory.slice(0, this.#length);
  }

  /** Writes values, each as the next type of the signature says. */
  write(signature: string, values: readonly unknown[]): this {
    const types = typesOf(signature);
    if (types.length !== values.length) throw new Error(`"${signature}" is not for these values`);
    types.forEach((type, i) => this.#value(type, values[i]));
    return this;
  }

  align(unit: number): this {
    return this.#put(new Uint8Array(-this.#length & (unit - 1)));
  }

  #value(type: string, value: unknown): void {
    this.align(ALIGNMENT[type[0]!]!);
    switch (type[0]) {
      case "y":
        this.#put([value as number]);
        break;
      case "b":
      case "u":
      case "h":
        this.#put(uint32(Number(value)));
        break;
      case "s":
      case "o": {
        const encoded = encoder.encode(value as string);
        this.#put(uint32(encoded.length)).#put(encoded).#put([0]);
        break;
      }
      case "g": {
        const encoded = encoder.encode(value as string);
        this.#put([encoded.length]).#put(encoded).#put([0]);
        break;
      }
      case "v": {
        const { signature, value: inner } = value as Variant;
        this.write("g", [signature]).write(signature, [inner]);
        break;
      }
      case "a":
        this.#array(type.slice(1), [...value as Iterable<unknown>]);
        break;
      default:
        membersOf(type).forEach((member, i) => this.#value(member, (value as unknown[])[i]));
    }
  }

  #array(type: string, values: readonly unknown[]): void {
    const lengthAt = this.#length;
    this.#put(uint32(0));
    // The padding before the first element does not count.
    const start = this.align(ALIGNMENT[type[0]!]!).#length;
    for (const value of values) this.#value(type, value);
    this.#memory.set(uint32(this.#length - start), lengthAt);
  }

  #put(bytes: ArrayLike<number>): this {
    const end = this.#length + bytes.length;
    if (end > this.#memory.length) {
      const larger = new Uint8Array(2 * end);
      larger.set(this.#memory);
      this.#memory = larger;
    }
    this.#memory.set(bytes, this.#length);
    this.#length = end;
    return this;
  }
}

function uint32(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
}

/** Reads values that were written with the lowest byte of a number first. */
export class Reader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The values that come next, as this signature says. */
  read(signature: string): unknown[] {
    return typesOf(signature).map((type) => this.#value(type));
  }

  align(unit: number): this {
    this.at = Math.ceil(this.at / unit) * unit;
    return this;
  }

  #value(type: string): unknown {
    this.align(ALIGNMENT[type[0]!]!);
    switch (type[0]) {
      case "y":
        return this.#view.getUint8(this.at++);
      case "b":
        return this.#uint32() !== 0;
      case "u":
      case "h":
        return this.#uint32();
      case "s":
      case "o":
        return this.#text(this.#uint32());
      case "g":
        return this.#text(this.#view.getUint8(this.at++));
      case "v": {
        const signature = this.#value("g") as string;
        return { signature, value: this.#value(signature) } satisfies Variant;
      }
      case "a":
        return this.#array(type.slice(1));
      default:
        return membersOf(type).map((member) => this.#value(member));
    }
  }

  #array(type: string): unknown {
    const length = this.#uint32();
    const end = this.align(ALIGNMENT[type[0]!]!).at + length;
    const values: unknown[] = [];
    while (this.at < end) values.push(this.#value(type));
    return type.startsWith("{") ? new Map(values as [unknown, unknown][]) : values;
  }

  #text(length: number): string {
    const value = decoder.decode(this.#bytes.subarray(this.at, this.at + length));
    this.at += length + 1;
    return value;
  }

  #uint32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }
}
