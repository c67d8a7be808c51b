/** Reads what an image is from its first bytes: PNG, JPEG, GIF, WebP. Nothing is decoded. */

export type ImageHeader =
  | { readonly kind: "image"; readonly mediaType: string; readonly width: number; readonly height: number }
  /** Its first bytes are of none of the known types. */
  | { readonly kind: "unknown" }
  /** It begins like `mediaType`, but no size can be read. */
  | { readonly kind: "damaged"; readonly mediaType: string };

interface Size {
  /** px */
  readonly width: number;
  readonly height: number;
}

/** Finds type and size in pixels, whatever the name or the sender says. Never throws, never reads past the end. */
export function readImageHeader(bytes: Uint8Array): ImageHeader {
  const format = FORMATS.find(({ begins }) => begins(bytes));
  if (!format) return { kind: "unknown" };
  const size = format.size(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const { mediaType } = format;
  if (!size || size.width < 1 || size.height < 1) return { kind: "damaged", mediaType };
  return { kind: "image", mediaType, ...size };
}

interface Format {
  readonly mediaType: string;
  readonly begins: (bytes: Uint8Array) => boolean;
  readonly size: (view: DataView) => Size | null;
}

const FORMATS: readonly Format[] = [
  { mediaType: "image/png", begins: (bytes) => holds(bytes, 0, "\x89PNG\r\n\x1a\n"), size: sizeOfPng },
  { mediaType: "image/jpeg", begins: (bytes) => holds(bytes, 0, "\xff\xd8\xff"), size: sizeOfJpeg },
  {
    mediaType: "image/gif",
    begins: (bytes) => holds(bytes, 0, "GIF87a") || holds(bytes, 0, "GIF89a"),
    size: sizeOfGif,
  },
  {
    mediaType: "image/webp",
    begins: (bytes) => holds(bytes, 0, "RIFF") && holds(bytes, 8, "WEBP"),
    size: sizeOfWebp,
  },
];

/** Whether the text's characters, as bytes, stand at `offset`. */
function holds(bytes: Uint8Array, offset: number, text: string): boolean {
  if (bytes.length < offset + text.length) return false;
  for (let i = 0; i < text.length; i++) {
    if (bytes[offset + i] !== text.charCodeAt(i)) return false;
  }
  return true;
}

/** The first chunk is IHDR, 13 bytes long (W3C PNG, 11.2.1). */
function sizeOfPng(view: DataView): Size | null {
  if (view.byteLength < 33 || view.getUint32(8) !== 13 || view.getUint32(12) !== 0x49484452) return null;
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** Segments are walked up to the frame header, which every image has before its first scan (ITU-T T.81, B.1 and B.2). */
function sizeOfJpeg(view: DataView): Size | null {
  let at = 2;
  while (at + 4 <= view.byteLength) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1; // a fill byte
      continue;
    }
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
      at += 2; // a marker without a segment
      continue;
    }
    if (marker === 0xd9 || marker === 0xda) return null;
    const length = view.getUint16(at + 2);
    if (length < 2) return null;
    if (isFrameHeader(marker)) {
      if (length < 8 || at + 9 > view.byteLength) return null;
      return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    }
    at += 2 + length;
  }
  return null;
}

/** SOF0 to SOF15 without the three markers of that row that mean something else: DHT, JPG, DAC. */
function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** The logical screen (GIF89a, 18). */
function sizeOfGif(view: DataView): Size | null {
  if (view.byteLength < 13) return null;
  return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
}

/** The first chunk is lossy, lossless or the extended header (RFC 9649, 2.5 to 2.7). */
function sizeOfWebp(view: DataView): Size | null {
  if (view.byteLength < 25) return null;
  const chunk = view.getUint32(12);
  if (chunk !== 0x5650384c && view.byteLength < 30) return null;
  switch (chunk) {
    case 0x56503820: // "VP8 "
      if (view.getUint8(23) !== 0x9d || view.getUint8(24) !== 0x01 || view.getUint8(25) !== 0x2a) return null;
      return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
    case 0x5650384c: {
      // "VP8L": 14 bits of width - 1, then 14 bits of height - 1
      if (view.getUint8(20) !== 0x2f) return null;
      const bits = view.getUint32(21, true);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case 0x56503858: // "VP8X"
      return { width: getUint24(view, 24) + 1, height: getUint24(view, 27) + 1 };
    default:
      return null;
  }
}

function getUint24(view: DataView, offset: number): number {
  return view.getUint16(offset, true) | (view.getUint8(offset + 2) << 16);
}
