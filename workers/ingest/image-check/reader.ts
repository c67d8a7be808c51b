import { damaged } from "./refusal.ts";

/** Reads bytes from front to back. A read past the end is a {@link Refused}, never a value. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#step(1));
  }
  u16be(): number {
    return this.#view.getUint16(this.#step(2));
  }
  u32be(): number {
    return this.#view.getUint32(this.#step(4));
  }
  u16le(): number {
    return this.#view.getUint16(this.#step(2), true);
  }
  u24le(): number {
    return this.u16le() | (this.u8() << 16);
  }
  u32le(): number {
    return this.#view.getUint32(this.#step(4), true);
  }

  /** The next bytes as text, a character each. */
  latin1(count: number): string {
    return String.fromCharCode(...this.take(count));
  }

  /** The next bytes, not copied. */
  take(count: number): Uint8Array {
    const from = this.#step(count);
    return this.#bytes.subarray(from, from + count);
  }

  skip(count: number): void {
    this.#step(count);
  }

  /** The byte so far ahead, which is not read yet. */
  peek(ahead: number): number {
    if (ahead >= this.left) throw cutOff();
    return this.#view.getUint8(this.#at + ahead);
  }

  /** Goes to the next byte of this value, which is not read yet. */
  seek(value: number): void {
    const found = this.#bytes.indexOf(value, this.#at);
    if (found < 0) throw cutOff();
    this.#at = found;
  }

  #step(count: number): number {
    if (count > this.left) throw cutOff();
    const from = this.#at;
    this.#at += count;
    return from;
  }
}

function cutOff() {
  return damaged("it is cut off, or a length in it is wrong");
}
