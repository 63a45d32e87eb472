/** Prints the window, in milliseconds, that one quick answer opens. */
import { BusyPoll } from "../../src/io/busy_poll.ts";

const poll = new BusyPoll();
poll.learn(0.02);
console.log(JSON.stringify(poll.window));
