/** Hex digits of the time in a version 7 id. */
const TIME_DIGITS = 12;
const NODE_DIGITS = 12;
const VARIANT = ["8", "9", "a", "b"] as const;

/** An id as RFC 9562 forms version 7: it grows with time. `serial` makes it unique among those of its maker. */
export function timeOrderedId(timeMs: number, serial: number, random: () => number): string {
  const time = timeMs.toString(16).padStart(TIME_DIGITS, "0");
  const order = (serial & 0xfff).toString(16).padStart(3, "0");
  const node = serial.toString(16).padStart(NODE_DIGITS, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${order}-${variant(random)}${hex(3, random)}-${node}`;
}

/** So many random hex digits. */
export function hex(digits: number, random: () => number): string {
  let text = "";
  while (text.length < digits)
    text += Math.floor(random() * 0x1000000)
      .toString(16)
      .padStart(6, "0");
  return text.slice(0, digits);
}

function variant(random: () => number): string {
  return VARIANT[Math.floor(random() * VARIANT.length)] ?? "8";
}
