import { Reader } from "./reader.ts";
import { checkFrames, damaged, type Size } from "./refusal.ts";

interface Frame extends Size {
  /** The chunks IDAT are this frame too. */
  readonly isDefault: boolean;
  readonly data: Uint8Array[];
}

/** The frames of an animated PNG, chunk by chunk (W3C PNG, third edition, 11.3.6). */
export class Animation {
  readonly #canvas: Size;
  readonly #declared: number;
  readonly #frames: Frame[] = [];
  #sequence = 0;

  /** @param control the chunk acTL */
  constructor(control: Uint8Array, canvas: Size) {
    if (control.length !== 8) throw damaged("its chunk acTL is not 8 bytes long");
    this.#canvas = canvas;
    this.#declared = new Reader(control).u32be();
    checkFrames(canvas, this.#declared);
  }

  /** A frame that is told before the chunks IDAT is the image that they hold. */
  beginFrame(control: Uint8Array, isAfterData: boolean): void {
    if (control.length !== 26) throw damaged("a chunk fcTL is not 26 bytes long");
    if (this.#frames.length === this.#declared) throw damaged("it has more frames than its chunk acTL tells");
    const reader = new Reader(control);
    this.#checkSequence(reader.u32be());
    const [width, height] = [reader.u32be(), reader.u32be()];
    const [x, y] = [reader.u32be(), reader.u32be()];
    if (width < 1 || height < 1 || x + width > this.#canvas.width || y + height > this.#canvas.height) {
      throw damaged("a frame is outside the image");
    }
    const isDefault = !isAfterData;
    const isWhole = width === this.#canvas.width && height === this.#canvas.height;
    if (isDefault && (this.#frames.length > 0 || !isWhole)) throw damaged("its first frame is not the whole image");
    this.#frames.push({ width, height, isDefault, data: [] });
  }

  addData(data: Uint8Array): void {
    const frame = this.#frames.at(-1);
    const reader = new Reader(data);
    this.#checkSequence(reader.u32be());
    if (!frame || frame.isDefault) throw damaged("a chunk fdAT belongs to no frame");
    frame.data.push(reader.take(reader.left));
  }

  /**
   * @param checkScanlines is given the data of each frame that has its own
   * @returns the number of frames
   */
  finish(checkScanlines: (data: readonly Uint8Array[], size: Size) => void): number {
    if (this.#declared === 0 || this.#frames.length !== this.#declared) {
      throw damaged(`it has ${this.#frames.length} of ${this.#declared} frames`);
    }
    for (const frame of this.#frames) {
      if (!frame.isDefault) checkScanlines(frame.data, frame);
    }
    return this.#declared;
  }

  #checkSequence(number: number): void {
    if (number !== this.#sequence) throw damaged("the chunks of its frames are not in order");
    this.#sequence += 1;
  }
}
