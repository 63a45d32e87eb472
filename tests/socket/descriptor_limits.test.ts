import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { programCommand, underDescriptorLimit } from "../support/listening.ts";
import { run } from "../support/mod.ts";

const TYPES = ["stream", "datagram", "seqpacket"] as const;
type Type = (typeof TYPES)[number];
const NAMES = { stream: "UnixStream", datagram: "UnixDatagram", seqpacket: "UnixSeqpacket" };

/** What a message is shown as. */
interface Shown {
  data: string;
  fds: string[];
  pidfd: boolean;
  controlTruncated: boolean;
}

interface Report {
  outcome: unknown;
  /** How many descriptors were free after it, all that was received being closed; null if unknown. */
  room: number | null;
  /** In the descriptor table, when descriptors were free again. */
  changes: string[];
  /** The messages that came then. */
  afterwards: Shown[];
}

interface Case {
  what: "receive" | "pidfd" | "send" | "transfer";
  /** How many descriptors are free. */
  free: number;
  /** How many descriptors the message carries. */
  count: number;
  way?: string;
}

const ON: Shown = {
  data: "on",
  fds: ["content", "content"],
  pidfd: false,
  controlTruncated: false,
};

const planned: Record<Type, Case[]> = { stream: [], datagram: [], seqpacket: [] };
const running = new Map<Type, Promise<Report[]>>();

/** Does all that is planned for a type, in one process that may have few descriptors. */
async function runPlanned(type: Type): Promise<Report[]> {
  const command = programCommand("descriptors_at_limit", [type, JSON.stringify(planned[type])]);
  const { code, stdout, stderr } = await run(underDescriptorLimit(100, command));
  assertEquals([stderr, code], ["", 0]);
  return JSON.parse(stdout);
}

/** Plans what to do; the function gives what came of it, when every test has been defined. */
function atLimit(type: Type, wanted: Case): () => Promise<Report> {
  const index = planned[type].push(wanted) - 1;
  return async () => {
    if (!running.has(type)) running.set(type, runPlanned(type));
    return (await running.get(type)!)[index]!;
  };
}

/** A test that asserts what came, that nothing leaks, and that the socket goes on. */
function testReceiving(
  title: string,
  type: Type,
  wanted: Case[],
  expected: Partial<Shown>,
  after: Shown[] = [ON],
): void {
  const outcome = { data: "data", fds: [], pidfd: false, controlTruncated: true, ...expected };
  const reports = wanted.map((each) => atLimit(type, each));
  test(title, async () => {
    for (const [i, { way, free }] of wanted.entries()) {
      const room = way === "waiting" ? null : free;
      assertEquals(await reports[i]!(), { outcome, room, changes: [], afterwards: after });
    }
  });
}

// Receiving

for (const type of TYPES) {
  for (
    const [how, way] of [
      ["receiveMessage()", "at once"],
      ["receiveMessage() that waits", "waiting"],
      ["receiveMessageSync()", "sync"],
    ] as const
  ) {
    testReceiving(
      `${NAMES[type]}.${how} brings the data without the descriptors where none is free`,
      type,
      [{ what: "receive", free: 0, count: 2, way }],
      {},
    );
  }

  testReceiving(
    `${NAMES[type]}.receiveMessage() keeps none of the descriptors where one is missing`,
    type,
    [{ what: "receive", free: 1, count: 2 }, { what: "receive", free: 20, count: 21 }],
    {},
  );

  testReceiving(
    `${NAMES[type]}.receiveMessage() brings all descriptors where just as many are free`,
    type,
    [{ what: "receive", free: 2, count: 2 }],
    { fds: ["content", "content"], controlTruncated: false },
  );

  const more: Shown = { data: "more", fds: [], pidfd: false, controlTruncated: false };
  // A stream has no messages: its receipts end only behind bytes that came with descriptors.
  const after = type === "stream" ? [{ ...ON, data: "moreon" }] : [more, ON];
  testReceiving(
    `${NAMES[type]}.receiveMessage() leaves the message behind one without its descriptors whole`,
    type,
    [{ what: "receive", free: 0, count: 253, way: "later" }],
    {},
    after,
  );
}

for (const type of ["datagram", "seqpacket"] as const) {
  testReceiving(
    `${
      NAMES[type]
    }.receiveMessage() brings an empty message without its descriptors where none is free`,
    type,
    [{ what: "receive", free: 0, count: 1, way: "empty" }],
    { data: "" },
  );
}

// Pidfds

for (const type of TYPES) {
  for (const way of ["at once", "sync"]) {
    testReceiving(
      `${NAMES[type]} says that the pidfd is missing where none is free: ${way}`,
      type,
      [{ what: "pidfd", free: 0, count: 0, way }],
      {},
    );
  }

  testReceiving(`${NAMES[type]} brings the pidfd where one descriptor is free`, type, [{
    what: "pidfd",
    free: 1,
    count: 0,
  }], { pidfd: true, controlTruncated: false });

  const report = atLimit(type, { what: "pidfd", free: 1, count: 1 });
  test(`${NAMES[type]} says that the pidfd is missing where the message's descriptor took the last`, async () => {
    const { outcome, ...rest } = await report();
    const { pidfd, controlTruncated } = outcome as Shown;
    assertEquals({ pidfd, controlTruncated }, { pidfd: false, controlTruncated: true });
    assertEquals(rest, { room: 1, changes: [], afterwards: [ON] });
  });

  testReceiving(`${NAMES[type]} has no descriptor and no pidfd where neither finds room`, type, [{
    what: "pidfd",
    free: 0,
    count: 2,
  }, { what: "pidfd", free: 1, count: 2 }], {});
}

// Sending

for (
  const [type, name, way] of [
    ...TYPES.map((type) => [type, NAMES[type], "peer"] as const),
    [
      "datagram",
      "UnixDatagram to an address",
      "to",
    ] as const,
  ]
) {
  for (const what of ["send", "transfer"] as const) {
    const does = what === "send" ? "sendMessage()" : "sendMessage() that transfers";
    const counts = what === "send" ? [[0, 1], [1, 2], [20, 21]] as const : [[0, 1]] as const;
    const reports = counts.map(([free, count]) => atLimit(type, { what, free, count, way }));

    test(`F128 ${name}: ${does} fails with EMFILE where it has to wait and cannot duplicate, and sends nothing`, async () => {
      for (const [i, [free]] of counts.entries()) {
        assertEquals(await reports[i]!(), {
          outcome: { outcome: ["EMFILE", "fcntl"], onlyFilled: true, open: true },
          room: free,
          changes: [],
          afterwards: [ON],
        });
      }
    });
  }
}
