/** Says why it cannot see what it was given. */

import { inheritedSocket } from "../../process.ts";

try {
  inheritedSocket();
  console.log("no error");
} catch (error) {
  console.log((error as Error).message);
}
