import { hex } from "./hex.ts";

const COUNTER_MAX = 0xfff;

let lastMs = 0;
let counter = 0;

/** A UUID of version 7 that sorts behind all that were made before it in this realm, whatever the clock does. */
export function newEventId(): string {
  const random = crypto.getRandomValues(new Uint8Array(10));
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    counter = (((random[8] ?? 0) << 8) | (random[9] ?? 0)) & (COUNTER_MAX >> 1);
  } else if (counter < COUNTER_MAX) {
    counter += 1;
  } else {
    lastMs += 1;
    counter = 0;
  }
  const time = lastMs.toString(16).padStart(12, "0");
  const order = counter.toString(16).padStart(3, "0");
  random[0] = 0x80 | ((random[0] ?? 0) & 0x3f); // the variant
  const rest = hex(random.subarray(0, 8));
  return `${time.slice(0, 8)}-${time.slice(8)}-7${order}-${rest.slice(0, 4)}-${rest.slice(4)}`;
}
