// One contender by a native addon of npm, under the Node.js that it was built for:
// addons.cjs ADDON WORKLOAD ARGUMENT..., with the addon in NODE_PATH. The arguments are those of the
// C programs.
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { performance } = require("node:perf_hooks");
const process = require("node:process");

const [addon, workload, ...args] = process.argv.slice(2);
const scratch = path.join(os.tmpdir(), `afunix-addon-${process.pid}.sock`);

function finish(figure) {
  // First: who asked ends this process as soon as it has the figure.
  fs.rmSync(scratch, { force: true });
  console.log(figure);
  process.exit(0);
}

/** Milliseconds for so many rounds, of which `run` does one, after half as many. */
async function timed(rounds, run) {
  for (let i = 0; i < rounds / 2; i++) await run();
  const begin = performance.now();
  for (let i = 0; i < rounds; i++) await run();
  return performance.now() - begin;
}

/** Nanoseconds for a datagram; a few are under way at a time, which these addons can. */
function datagrams(rounds) {
  const WINDOW = 8;
  const data = Buffer.alloc(64, 7);
  const open = {
    "unix-dgram"(received) {
      const { createSocket } = require("unix-dgram");
      createSocket("unix_dgram", received).bind(scratch);
      const sender = createSocket("unix_dgram", () => {});
      return () => sender.send(data, 0, data.length, scratch);
    },
    "node-unix-socket"(received) {
      const { DgramSocket } = require("node-unix-socket");
      const server = new DgramSocket();
      server.bind(scratch);
      server.on("data", received);
      const sender = new DgramSocket();
      return () => sender.sendTo(data, 0, data.length, scratch);
    },
  }[addon];
  const warm = Math.floor(rounds / 2);
  let begin;
  let count = 0;
  let under = 0;
  const fill = () => {
    for (; under < WINDOW; under++) send();
  };
  const send = open((message) => {
    if (message.length !== data.length || message[0] !== 7) throw new Error("Other bytes arrived");
    under--;
    if (++count === warm) begin = performance.now();
    if (count === warm + rounds) finish(((performance.now() - begin) * 1e6) / rounds);
    if (under < WINDOW / 2) fill();
  });
  fill();
}

/** Microseconds for a message to an echo server and back. */
function roundTrip(server, size, rounds) {
  const { USocket } = require("usocket");
  const data = Buffer.alloc(size, 7);
  let answer = () => {};
  let received = 0;
  const socket = new USocket();
  socket.connect(server, async () => {
    socket.on("data", take);
    const run = () =>
      new Promise((resolve) => {
        answer = resolve;
        socket.write(data);
      });
    finish(((await timed(rounds, run)) * 1000) / rounds);
  });
  const take = (chunk) => {
    received += chunk.length;
    if (received < size) return;
    if (received !== size || chunk[0] !== 7) throw new Error("The echo is another");
    received = 0;
    answer();
  };
}

/** How many descriptors a second, closed on arrival. */
function descriptors(rounds, each) {
  const { UServer, USocket } = require("usocket");
  const server = new UServer();
  const fds = new Array(each).fill(0);
  server.listen(scratch, async () => {
    const client = new USocket();
    const [connection] = await Promise.all([
      new Promise((resolve) => server.on("connection", resolve)),
      new Promise((resolve) => client.connect(scratch, resolve)),
    ]);
    let arrived = () => {};
    client.on("fds", (received) => {
      if (received.length !== each) throw new Error("Too few arrived");
      for (const fd of received) fs.closeSync(fd);
      arrived();
    });
    client.on("data", () => {});
    const run = () =>
      new Promise((resolve) => {
        arrived = resolve;
        connection.write({ data: Buffer.from([7]), fds });
      });
    const messages = Math.ceil(rounds / each);
    finish((messages * each) / ((await timed(messages, run)) / 1000));
  });
}

if (workload === "datagrams") datagrams(Number(args[0]));
else if (workload === "round_trip") roundTrip(args[0], Number(args[1]), Number(args[2]));
else if (workload === "descriptors") descriptors(Number(args[0]), Number(args[1]));
