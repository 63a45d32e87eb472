/** Opens the file of the first argument and prints the code of the error. */

import process from "node:process";
import { Fd, type UnixSocketError } from "../../mod.ts";

try {
  Fd.open(process.argv[2]!).close();
  console.log("opened");
} catch (error) {
  console.log((error as UnixSocketError).code);
}
