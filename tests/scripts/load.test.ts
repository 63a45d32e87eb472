// Short forms of what `npm run load` does: each throws where anything is not as it should be.

import { test } from "node:test";
import { atOnce, inSequence, storms } from "../../scripts/load/connections.ts";
import { manyWriters } from "../../scripts/load/datagrams.ts";
import { withoutDebugging } from "../support/debug.ts";
import { RUNTIME } from "../support/mod.ts";

// Debug mode writes down where each descriptor comes from and goes, which takes too long for so many.
withoutDebugging();

test("N241 200 clients of 4 processes that connect at once to a backlog of 1 all wait their turn, and all are served", async () => {
  await storms(RUNTIME, [1], 2, 4);
});

test("N244 64 writers' 1,000 datagrams each, through a queue that is soon full, all arrive, those of each writer in order", async () => {
  await manyWriters(RUNTIME, 2, { connected: 1000, addressed: 100 });
});

test("1,000 connections at once are all answered, and leave descriptors and memory as they were on both sides", async () => {
  await atOnce(RUNTIME, 1000, 2);
});

test("20,000 connections in sequence are all served in order, and leave descriptors and memory as they were on both sides", async () => {
  await inSequence(RUNTIME, 20_000);
});
