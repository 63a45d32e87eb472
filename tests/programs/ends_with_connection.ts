/**
 * Connects to the path that it is given, and ends when the connection does.
 */

import process from "node:process";
import { UnixStream } from "../../mod.ts";

const stream = await UnixStream.connect(process.argv[2]!);
await stream.read(new Uint8Array(1));
process.exit(0);
