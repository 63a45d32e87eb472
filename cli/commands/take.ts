/**
 * `afunix take`: receives open files, and runs a command with them.
 * @module
 */

import type { Fd } from "../../mod.ts";
import { readAddress } from "../addresses.ts";
import { type Channel, connect } from "./channels.ts";
import { Allowance } from "./conversation.ts";
import { EXIT, Failure, UsageError } from "../failures.ts";
import { joined } from "../terminal/input.ts";
import { bytesRecord } from "../terminal/output.ts";
import { runWith } from "./run_with.ts";
import { channelsOf, keepsGoing, serviceOf } from "./services.ts";
import type { Session } from "../session.ts";

/** The bytes that may come with the descriptors, unless `--max-bytes` says otherwise. */
const MAX_BYTES = 16 << 20;

/** What came: open files and the bytes that carried them. */
interface Taken {
  files: Fd[];
  message: Uint8Array;
}

/** What to wait for. */
interface Wanted {
  /** How many descriptors. */
  count: number;
  /** The most bytes. */
  maxBytes: number;
}

/** Runs the command. */
export async function runTake(session: Session): Promise<number> {
  const { args } = session;
  const { type } = args;
  const connects = args.has("connect");
  if (args.rest?.length === 0) throw new UsageError("The command after -- is missing");
  if (args.has("stdin") && args.rest === null) {
    throw new UsageError("--stdin is for a command, and there is none");
  }
  for (const name of ["mode", "allow-uid", "keep", "once"]) {
    if (args.has(name) && connects) throw new UsageError(`--${name} is not for --connect`);
  }
  const wanted: Wanted = {
    count: args.integer("count", 1) ?? 1,
    maxBytes: args.integer("max-bytes", 0) ?? MAX_BYTES,
  };
  const from = args.text("from");
  if (from !== undefined && !connects) throw new UsageError("--from needs --connect");
  const open = connects ? null : serviceOf(session);
  const address = connects ? args.takeAddress(false) : null;
  args.finish();
  session.alive();
  if (open === null) {
    const sender = await connect(
      type,
      address!,
      from === undefined ? undefined : readAddress(from),
    );
    return await use(session, await take(session, sender, wanted).finally(() => sender.close()));
  }
  using service = open();
  const keep = keepsGoing(session, false);
  let code: number = EXIT.fine;
  for await (const { channel } of channelsOf(session, service, keep)) {
    try {
      const taken = await take(session, channel, wanted).finally(() => {
        if (channel.connected || !keep) channel.close();
      });
      if (!keep) service.close();
      code = await use(session, taken);
      // It was for the command, and for what would have come after it.
      if (keep && session.signalled !== null) return session.signalled;
    } catch (error) {
      if (!keep) throw error;
      session.output.warn(error);
    }
  }
  return code;
}

/** Receives until so many descriptors have come. */
async function take(
  session: Session,
  channel: Channel,
  { count, maxBytes }: Wanted,
): Promise<Taken> {
  const allowance = new Allowance(maxBytes);
  const files: Fd[] = [];
  let room = new Uint8Array(1024);
  let length = 0;
  try {
    while (files.length < count) {
      const message = await channel.receiveWithDescriptors();
      if (message === null) {
        throw new Failure(
          files.length === 0
            ? "No descriptor came"
            : `Only ${files.length} of ${count} descriptors came`,
        );
      }
      session.alive();
      files.push(...message.takeFds());
      if (message.controlTruncated) throw new Failure("Descriptors were lost: too few were free");
      const data = allowance.take(message.data);
      allowance.check();
      // Not a list of pieces: each of millions would take more memory than its bytes.
      while (length + data.length > room.length) room = joined([room, room]);
      room.set(data, length);
      length += data.length;
    }
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
  return { files, message: room.subarray(0, length) };
}

/** Runs the command with the descriptors, or tells what they are. */
async function use(session: Session, { files, message }: Taken): Promise<number> {
  const { args, output } = session;
  try {
    if (output.json) {
      await output.record({
        event: "taken",
        descriptors: files.map((file) => {
          const { kind, size, uid, gid, permissions } = file.stat();
          return { kind, size, uid, gid, permissions: permissions.toString(8) };
        }),
        message: bytesRecord(message),
      });
    }
    if (args.rest !== null) {
      return await runWith(session, args.rest, files, message, args.has("stdin"));
    }
    if (output.json) return EXIT.fine;
    for (const [index, file] of files.entries()) {
      const { kind, size, permissions } = file.stat();
      const mode = permissions.toString(8).padStart(4, "0");
      await output.line(`${index + 1}  ${kind}  ${size} bytes  mode ${mode}`);
    }
    return EXIT.fine;
  } finally {
    for (const file of files) file.close();
  }
}
