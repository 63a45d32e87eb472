/** Whether the tests run under an emulator of the processor, and how much longer they may take then. */

import process from "node:process";

/** Set by `npm run test:arm64` where it emulates. */
export const emulated: boolean = process.env["AFUNIX_EMULATED"] !== undefined;

/** Whether they are then in a user namespace of their own. */
export const inUserNamespace: boolean = process.env["AFUNIX_EMULATED"] === "in a user namespace";

/** "linux x64": the machine that the runtimes under test see. */
export const machine = `${process.platform} ${emulated ? "arm64" : process.arch}`;

/** What every time limit is multiplied by. */
export const slowdown: number = emulated ? 6 : 1;
