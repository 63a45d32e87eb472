/**
 * Byte sources and sinks as async iterables and web streams.
 * @module
 */

/** Reads into a view; null at the end. */
export type Reader = (view: Uint8Array<ArrayBuffer>) => Promise<number | null>;

/** The size of the buffer that chunks are read into, in bytes. */
const CHUNK = 65536;

/**
 * Reads chunks. A small one is copied out of a buffer that is used again, so that keeping it keeps
 * no more memory than its bytes; a large one is handed over with its buffer.
 */
export class ChunkReader {
  readonly #read: Reader;
  #buffer = new Uint8Array(new ArrayBuffer(CHUNK));

  constructor(read: Reader) {
    this.#read = read;
  }

  /** The next bytes, or null at the end. */
  async next(): Promise<Uint8Array<ArrayBuffer> | null> {
    const buffer = this.#buffer;
    const count = await this.#read(buffer);
    if (count === null) return null;
    if (count < CHUNK / 2) return buffer.slice(0, count);
    this.#buffer = new Uint8Array(new ArrayBuffer(CHUNK));
    return buffer.subarray(0, count);
  }
}

/** Yields what `next` gets until that is null, or until the socket closes meanwhile. */
export async function* iterateUntilClosed<T>(
  socket: { readonly closed: boolean },
  next: () => Promise<T | null>,
): AsyncGenerator<T, void, void> {
  for (;;) {
    let item;
    try {
      item = await next();
    } catch (error) {
      if (socket.closed) return;
      throw error;
    }
    if (item === null) return;
    yield item;
  }
}

/**
 * A readable byte stream; `onFinished` is called once: at the end, when a read fails, or when it is
 * cancelled.
 */
export function readableOver(
  read: Reader,
  cancel: () => void,
  onFinished: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const finished = once(onFinished);
  const chunks = new ChunkReader(read);
  const readInto = (request: ReadableStreamBYOBRequest) => {
    const { buffer, byteOffset, byteLength } = request.view!;
    return read(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
  };
  const end = (controller: ReadableByteStreamController) => {
    try {
      // Throws where a part of an element of the reader's has come.
      controller.close();
    } finally {
      finished();
    }
  };
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const request = controller.byobRequest;
      if (request?.view) {
        const count = await orFinish(() => readInto(request), finished);
        if (count === null) end(controller);
        return request.respond(count ?? 0);
      }
      const chunk = await orFinish(() => chunks.next(), finished);
      if (chunk === null) end(controller);
      else controller.enqueue(chunk);
    },
    cancel() {
      cancel();
      finished();
    },
  });
}

/**
 * A writable stream; `onFinished` is called once: when it is closed or aborted, or when a write
 * fails.
 */
export function writableOver<T = Uint8Array>(
  write: (chunk: T, signal: AbortSignal) => Promise<unknown>,
  close: () => void,
  abort: () => void,
  onFinished: () => void,
): WritableStream<T> {
  const finished = once(onFinished);
  return new WritableStream({
    async write(chunk, controller) {
      await orFinish(() => write(chunk, controller.signal), () => {
        abort();
        finished();
      });
    },
    close() {
      close();
      finished();
    },
    abort() {
      abort();
      finished();
    },
  });
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}

/** What fails ends the stream. */
async function orFinish<T>(action: () => Promise<T>, finished: () => void): Promise<T> {
  try {
    return await action();
  } catch (error) {
    finished();
    throw error;
  }
}

/**
 * A readable stream of whole messages; `onFinished` is called once: at the end, when a receipt
 * fails, or when it is cancelled.
 */
export function messagesOver<T>(
  receive: () => Promise<T | null>,
  cancel: () => void,
  onFinished: () => void = () => {},
): ReadableStream<T> {
  const finished = once(onFinished);
  return new ReadableStream<T>({
    async pull(controller) {
      const message = await orFinish(receive, finished);
      if (message !== null) return controller.enqueue(message);
      controller.close();
      finished();
    },
    cancel() {
      cancel();
      finished();
    },
  }, { highWaterMark: 0 });
}
