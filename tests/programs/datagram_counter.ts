/**
 * Receives numbered messages at a path, blocking. Prints "ready", and in the end whether each came
 * once and in order. Arguments: the path, and how many.
 */

import process from "node:process";
import { UnixDatagram } from "../../mod.ts";

const [path, count] = process.argv.slice(2) as [string, string];
const decoder = new TextDecoder();
using socket = UnixDatagram.bind(path);
console.log("ready");
let wrong = 0;
for (let i = 0; i < Number(count); i++) {
  if (decoder.decode(socket.receiveSync().data) !== `${i}`) wrong++;
}
console.log(wrong === 0 ? "all in order" : `${wrong} out of order`);
