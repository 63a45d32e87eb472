// What npm's native addons take for a datagram of 64 bytes, under the Node.js that they were built
// for. Usage: node addon_contender.cjs ADDON ROUNDS, with the addon in NODE_PATH.
const fs = require("node:fs");
const [addon, rounds] = [process.argv[2], Number(process.argv[3])];
const path = `/tmp/afunix-bench-${process.pid}.sock`;
const data = Buffer.alloc(64, 7);
const WINDOW = 8;

const open = {
  "unix-dgram"(received) {
    const { createSocket } = require("unix-dgram");
    createSocket("unix_dgram", received).bind(path);
    const sender = createSocket("unix_dgram", () => {});
    return () => sender.send(data, 0, data.length, path);
  },
  "node-unix-socket"(received) {
    const { DgramSocket } = require("node-unix-socket");
    const server = new DgramSocket();
    server.bind(path);
    server.on("data", received);
    const sender = new DgramSocket();
    return () => sender.sendTo(data, 0, data.length, path);
  },
}[addon];

let begin;
let count = 0;
let under = 0;
const fillWindow = () => {
  for (; under < WINDOW; under++) send();
};
const send = open(() => {
  under--;
  if (++count === Math.floor(rounds / 5)) begin = performance.now();
  if (count === Math.floor(rounds / 5) + rounds) {
    console.log(((performance.now() - begin) * 1e6) / rounds);
    fs.unlinkSync(path);
    process.exit(0);
  }
  if (under < WINDOW / 2) fillWindow();
});
fillWindow();
