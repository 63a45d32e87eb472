/**
 * One end of one connection: `conversation.ts KIND listen|connect ADDRESS PART SIZE`, where KIND is
 * `afunix` or what the runtime has of its own, and ADDRESS is a path or `@` and an abstract name.
 * Prints `ready` once it listens, and at last its account as JSON.
 */

import process from "node:process";
import { afunix, type Connection, type Part, play } from "../support/conversations.ts";
import { ownSockets } from "../support/own_sockets.ts";

const [kind, role, name, part, size] = process.argv.slice(2) as [
  string,
  string,
  string,
  Part,
  string,
];
const address = name.replace(/^@/, "\0");
const sockets = kind === "afunix" ? afunix : ownSockets(kind);

let connection: Connection;
if (role === "connect") {
  connection = await sockets.connect(address);
} else {
  connection = await new Promise<Connection>((resolve, reject) => {
    const listening = sockets.listen(address, (accepted) => {
      listening.then((listener) => listener.close());
      resolve(accepted);
    });
    listening.then(() => console.log("ready"), reject);
  });
}
console.log(JSON.stringify(await play(part, connection, Number(size), role === "listen" ? 1 : 2)));
