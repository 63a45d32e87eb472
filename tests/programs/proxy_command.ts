/**
 * A ProxyCommand of ssh(1) with ProxyUseFdpass: connects to a path, and passes the connection to ssh
 * through its standard output, which is a socket.
 *
 *     proxy_command.ts PATH
 */

import process from "node:process";
import { UnixStream } from "../../mod.ts";

using ssh = UnixStream.fromFd(1);
const connection = await UnixStream.connect(process.argv[2]!);
await ssh.sendMessage(new Uint8Array(1), { fds: [connection], transfer: true });
