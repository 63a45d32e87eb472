/** `worker.ts` in debug mode. */

import "../../debug.ts";
import "./worker.ts";
