const DIGITS = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const PADDING = 61;
const VALUES = new Uint8Array(128).fill(255);
for (const [value, digit] of DIGITS.entries()) VALUES[digit] = value;
const BYTES = Float64Array.BYTES_PER_ELEMENT;

/** Numbers as base64 of their little-endian double-precision bytes: exact, and many times faster than decimals. */
export function packNumbers(numbers: readonly number[] | Float64Array): string {
  const view = new DataView(new ArrayBuffer(numbers.length * BYTES + 2));
  for (let i = 0; i < numbers.length; i++) view.setFloat64(i * BYTES, numbers[i] ?? 0, true);
  const size = numbers.length * BYTES;
  const bytes = new Uint8Array(view.buffer);
  const text = new Uint8Array(4 * Math.ceil(size / 3));
  let at = 0;
  for (let i = 0; i < size; i += 3) {
    const three = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text[at++] = DIGITS[three >> 18] ?? 0;
    text[at++] = DIGITS[(three >> 12) & 63] ?? 0;
    text[at++] = DIGITS[(three >> 6) & 63] ?? 0;
    text[at++] = DIGITS[three & 63] ?? 0;
  }
  const padded = (3 - (size % 3)) % 3;
  text.fill(PADDING, text.length - padded);
  return new TextDecoder().decode(text);
}

/**
 * Undoes `packNumbers`.
 * @throws {RangeError} for another text
 */
export function unpackNumbers(text: string): Float64Array {
  const digits = text.replace(/={1,2}$/, "");
  const size = Math.floor((digits.length * 3) / 4);
  if (text.length % 4 !== 0 || size % BYTES !== 0) throw new RangeError("not packed numbers");
  const view = new DataView(new ArrayBuffer(size + 2));
  for (let i = 0, at = 0; i < digits.length; i += 4) {
    let three = 0;
    for (let digit = 0; digit < 4; digit++) {
      const value = i + digit < digits.length ? VALUES[digits.charCodeAt(i + digit)] : 0;
      if (value === undefined || value === 255) throw new RangeError("not packed numbers");
      three = (three << 6) | value;
    }
    for (let shift = 16; shift >= 0 && at < size; shift -= 8) view.setUint8(at++, (three >> shift) & 255);
  }
  return Float64Array.from({ length: size / BYTES }, (_, i) => view.getFloat64(i * BYTES, true));
}
