/**
 * What the producer and the consumer of frames agree on: where in the shared memory is what, and how
 * a frame looks.
 */

const WIDTH = 1920;
const HEIGHT = 1080;

/** How many bytes a frame has, of four a pixel. */
export const FRAME_BYTES: number = WIDTH * HEIGHT * 4;

/** How many milliseconds pass from one frame to the next. */
export const PERIOD = 16;

/** How many frames there is room for: one is drawn while others are looked at. */
const SLOTS = 4;

/** Where the first frame begins; before it are the numbers. */
const FIRST_FRAME = 4096;

export const MEMORY_BYTES: number = FIRST_FRAME + SLOTS * FRAME_BYTES;

/** The numbers in front of the frames, all of 32 bits and changed by Atomics only. */
const DRAWN = 0;
const ENDED = 1;
const FIRST_SLOT = 2;

/** A band moves down over a background, whose colour is another for each frame. */
function backgroundOf(frame: number): number {
  return (0xff000000 | Math.imul(frame + 1, 0x9e3779b1) >>> 8) >>> 0;
}
const BAND = 0xffffffff;
const BAND_ROWS = 16;

function bandOf(frame: number): [first: number, end: number] {
  const row = frame * 4 % (HEIGHT - BAND_ROWS);
  return [row * WIDTH, (row + BAND_ROWS) * WIDTH];
}

/** The frames in shared memory, for the one who draws and the one who looks. */
export class Frames {
  readonly #numbers: Int32Array;
  readonly #times: Float64Array;
  readonly #pixels: Uint32Array[];

  constructor(memory: ArrayBuffer) {
    this.#numbers = new Int32Array(memory, 0, FIRST_SLOT + SLOTS);
    this.#times = new Float64Array(memory, 1024, SLOTS);
    this.#pixels = Array.from(
      { length: SLOTS },
      (_, slot) => new Uint32Array(memory, FIRST_FRAME + slot * FRAME_BYTES, FRAME_BYTES / 4),
    );
  }

  /** How many frames were drawn so far. */
  get drawn(): number {
    return Atomics.load(this.#numbers, DRAWN);
  }

  /** Whether no more will be drawn. */
  get ended(): boolean {
    return Atomics.load(this.#numbers, ENDED) !== 0;
  }

  end(): void {
    Atomics.store(this.#numbers, ENDED, 1);
  }

  /** Draws a frame over the oldest one, whoever looks at it. */
  draw(frame: number): void {
    const slot = frame % SLOTS;
    Atomics.store(this.#numbers, FIRST_SLOT + slot, 0); // nothing to look at
    this.#pixels[slot]!.fill(backgroundOf(frame)).fill(BAND, ...bandOf(frame));
    this.#times[slot] = Date.now();
    Atomics.store(this.#numbers, FIRST_SLOT + slot, frame + 1);
    Atomics.store(this.#numbers, DRAWN, frame + 1);
  }

  /** Looks at every pixel of a frame, where it is; null where it was drawn over meanwhile. */
  check(frame: number): { right: boolean; age: number } | null {
    const slot = frame % SLOTS;
    const isThere = () => Atomics.load(this.#numbers, FIRST_SLOT + slot) === frame + 1;
    if (!isThere()) return null;
    const age = Date.now() - this.#times[slot]!;
    const pixels = this.#pixels[slot]!;
    const background = backgroundOf(frame);
    const [first, end] = bandOf(frame);
    let wrong = 0;
    for (let i = 0; i < pixels.length; i++) {
      if (pixels[i] !== (i >= first && i < end ? BAND : background)) wrong++;
    }
    return isThere() ? { right: wrong === 0, age } : null;
  }
}
