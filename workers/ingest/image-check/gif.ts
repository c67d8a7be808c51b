import type { Reader } from "./reader.ts";
import { checkFrames, checkSize, damaged, type Measured, type Size } from "./refusal.ts";

const IMAGE = 0x2c;
const EXTENSION = 0x21;
const TRAILER = 0x3b;

/** Walks a GIF's blocks and their sub-blocks up to the trailer (GIF89a specification). */
export function checkGif(reader: Reader): Measured {
  reader.skip(6);
  const screen = { width: reader.u16le(), height: reader.u16le() };
  checkSize(screen);
  const flags = reader.u8();
  reader.skip(2 + colourTableBytes(flags));
  let frames = 0;
  for (let block = reader.u8(); block !== TRAILER; block = reader.u8()) {
    if (block === IMAGE) {
      frames += 1;
      checkFrames(screen, frames);
      skipFrame(reader, screen);
    } else if (block === EXTENSION) {
      reader.skip(1);
      skipSubBlocks(reader);
    } else {
      throw damaged("a block is not where the one before it ends");
    }
  }
  if (frames === 0) throw damaged("it has no image");
  return { ...screen, frames };
}

function skipFrame(reader: Reader, screen: Size): void {
  const [left, top, width, height] = [reader.u16le(), reader.u16le(), reader.u16le(), reader.u16le()];
  if (width < 1 || height < 1 || left + width > screen.width || top + height > screen.height) {
    throw damaged("a frame is outside its screen");
  }
  reader.skip(colourTableBytes(reader.u8()));
  const codeBits = reader.u8();
  if (codeBits < 1 || codeBits > 8) throw damaged("a frame is not compressed as in any GIF");
  if (skipSubBlocks(reader) === 0) throw damaged("a frame has no data");
}

/** A table of 2 to 256 colours, if the flags tell of one. */
function colourTableBytes(flags: number): number {
  return flags & 0x80 ? 3 << ((flags & 7) + 1) : 0;
}

/** @returns bytes in the sub-blocks, which an empty one ends */
function skipSubBlocks(reader: Reader): number {
  let bytes = 0;
  for (let length = reader.u8(); length > 0; length = reader.u8()) {
    reader.skip(length);
    bytes += length;
  }
  return bytes;
}
