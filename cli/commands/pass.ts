/**
 * `afunix pass`: open files for another process.
 * @module
 */

import { Fd, formatAddress, type OpenMode } from "../../mod.ts";
import { integerOf } from "../arguments.ts";
import { type Channel, connect } from "./channels.ts";
import { EXIT, UsageError } from "../failures.ts";
import { channelsOf, keepsGoing, serviceOf } from "./services.ts";
import type { Session } from "../session.ts";

const ACCESS: readonly OpenMode[] = ["read", "write", "read-write", "append"];

/** How many descriptors one message carries. */
const MAX_FDS = 253;

/** What is passed: a file to open, or a descriptor that this process inherited. */
type Passed = { path: string } | { fd: number };

/** Runs the command. */
export async function runPass(session: Session): Promise<number> {
  const { args, output } = session;
  const { type } = args;
  const listens = args.has("listen");
  if (listens && type === "datagram") {
    throw new UsageError("--listen is for connections: datagrams have none");
  }
  for (const name of ["mode", "allow-uid", "keep"]) {
    if (args.has(name) && !listens) throw new UsageError(`--${name} needs --listen`);
  }
  const open = listens ? serviceOf(session) : null;
  const address = listens ? null : args.takeAddress(false);
  const passed: Passed[] = args.positionals.splice(0).map((path) =>
    path === "-" ? { fd: 0 } : { path }
  );
  for (const text of args.texts("fd")) passed.push({ fd: integerOf(text, "--fd", 0, 0x7fff_ffff) });
  if (passed.length === 0) throw new UsageError("There is no file to pass");
  if (passed.length > MAX_FDS) throw new UsageError(`One message carries at most ${MAX_FDS} files`);
  const access = args.word("access", ACCESS) ?? "read";
  const message = messageOf(args.text("message"), passed, type === "stream");
  const give = async (channel: Channel) => {
    const files = passed.map((one) => "fd" in one ? one.fd : Fd.open(one.path, access));
    try {
      await channel.send(message, { fds: files });
    } finally {
      for (const file of files) if (file instanceof Fd) file.close();
    }
    session.alive();
    const names = passed.map(nameOf);
    await output.event({ event: "passed", files: names }, `Passed ${names.join(", ")}`);
  };
  session.alive();
  if (open === null) {
    using channel = await connect(type, address!, undefined);
    output.notice(`Connected to ${formatAddress(address!)}`);
    await give(channel);
    return EXIT.fine;
  }
  using service = open();
  const keep = keepsGoing(session, false);
  for await (const { channel } of channelsOf(session, service, keep)) {
    using _open = channel;
    await give(channel).catch((error) => {
      if (!keep) throw error;
      output.warn(error);
    });
  }
  return EXIT.fine;
}

/** The bytes that carry the files: their names, a line each, unless others are wanted. */
function messageOf(text: string | undefined, passed: readonly Passed[], stream: boolean) {
  if (text === "" && stream) throw new UsageError("On a stream, at least one byte carries files");
  const names = passed.map((one) => `${nameOf(one)}\n`).join("");
  return new TextEncoder().encode(text ?? names);
}

function nameOf(passed: Passed): string {
  return "fd" in passed ? `fd:${passed.fd}` : passed.path;
}
