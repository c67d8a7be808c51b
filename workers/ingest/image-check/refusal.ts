import { LIMITS } from "../../../shared/contracts/common.ts";

export type RefusalKind = "unsupported" | "damaged" | "too-large";

/** Ends the walk through an image. The message continues the sentence "The body begins like image/png, but". */
export class Refused extends Error {
  readonly kind: RefusalKind;

  constructor(kind: RefusalKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

export function damaged(message: string): Refused {
  return new Refused("damaged", message);
}

export interface Size {
  /** px */
  readonly width: number;
  readonly height: number;
}

export interface Measured extends Size {
  readonly frames: number;
}

/** @throws {Refused} for a size that no image has or that is not taken */
export function checkSize({ width, height }: Size): void {
  if (width < 1 || height < 1) throw damaged("it has no pixels");
  if (Math.max(width, height) > LIMITS.imageSidePx || width * height > LIMITS.imagePixels) {
    const limits = `${LIMITS.imageSidePx} pixels a side and ${LIMITS.imagePixels} in all`;
    throw new Refused("too-large", `it is ${width} x ${height} pixels; at most ${limits} are taken`);
  }
}

/**
 * Every frame counts as the whole canvas, however little of it it changes: that is what a viewer makes of it.
 * @throws {Refused} for more frames, or more pixels in all of them, than are taken
 */
export function checkFrames({ width, height }: Size, frames: number): void {
  if (frames > LIMITS.imageFrames) {
    throw new Refused("too-large", `it has more than ${LIMITS.imageFrames} frames`);
  }
  if (frames * width * height > LIMITS.imagePixels) {
    const canvas = `${frames} or more frames of ${width} x ${height} pixels`;
    throw new Refused("too-large", `it has ${canvas}; at most ${LIMITS.imagePixels} pixels in all are taken`);
  }
}
