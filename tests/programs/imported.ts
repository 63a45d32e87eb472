/** Imports the library and uses nothing that needs libc. */

import * as afunix from "../../mod.ts";

console.log(Object.keys(afunix).includes("UnixStream") ? "imported" : "not there");
