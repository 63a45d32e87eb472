/**
 * All workloads, in the order of the tables.
 * @module
 */

import type { Workload } from "../types.ts";
import { connections } from "./connections.ts";
import { heap } from "./heap.ts";
import { messages } from "./messages.ts";
import { roundTrips } from "./round_trip.ts";
import { servers } from "./servers.ts";
import { throughputs } from "./throughput.ts";

export const workloads: readonly Workload[] = [
  ...roundTrips,
  ...throughputs,
  ...messages,
  ...connections,
  ...servers,
  heap,
];
