import { checkGif } from "./gif.ts";
import { checkJpeg } from "./jpeg.ts";
import { checkPng } from "./png.ts";
import { Reader } from "./reader.ts";
import { type Measured, type RefusalKind, Refused } from "./refusal.ts";
import { checkWebp } from "./webp.ts";

export type { RefusalKind };

export type ImageCheck =
  | (Measured & { readonly kind: "image"; readonly mediaType: string })
  /** `reason` is a sentence about the body. */
  | { readonly kind: RefusalKind; readonly reason: string };

interface Format {
  readonly mediaType: string;
  readonly begins: (bytes: Uint8Array) => boolean;
  readonly check: (reader: Reader) => Measured;
  /** Bytes behind the end that are let pass, since every viewer does. */
  readonly trailingBytes: number;
}

/** Padding. Cameras write notes and small previews behind a JPEG, seldom more than this; a film behind it is refused. */
const TRAILING_BYTES = 16;
const TRAILING_JPEG_BYTES = 65_536;

const FORMATS: readonly Format[] = [
  {
    mediaType: "image/png",
    begins: (bytes) => holds(bytes, 0, "\x89PNG\r\n\x1a\n"),
    check: checkPng,
    trailingBytes: TRAILING_BYTES,
  },
  {
    mediaType: "image/jpeg",
    begins: (bytes) => holds(bytes, 0, "\xff\xd8\xff"),
    check: checkJpeg,
    trailingBytes: TRAILING_JPEG_BYTES,
  },
  {
    mediaType: "image/gif",
    begins: (bytes) => holds(bytes, 0, "GIF87a") || holds(bytes, 0, "GIF89a"),
    check: checkGif,
    trailingBytes: TRAILING_BYTES,
  },
  {
    mediaType: "image/webp",
    begins: (bytes) => holds(bytes, 0, "RIFF") && holds(bytes, 8, "WEBP"),
    check: checkWebp,
    trailingBytes: TRAILING_BYTES,
  },
];

/**
 * What an image is, after a walk through its whole structure, whatever its name or its sender says. Pixels are not
 * decoded, but the size of what would be decoded is bounded by LIMITS. Never throws, never reads past the end.
 */
export function checkImage(bytes: Uint8Array): ImageCheck {
  const format = FORMATS.find(({ begins }) => begins(bytes));
  if (!format) return { kind: "unsupported", reason: "The body is none of PNG, JPEG, GIF and WebP." };
  const { mediaType, check, trailingBytes } = format;
  try {
    const reader = new Reader(bytes);
    const measured = check(reader);
    if (reader.left > trailingBytes) throw new Refused("damaged", `${reader.left} bytes follow its end`);
    return { kind: "image", mediaType, ...measured };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { kind: error.kind, reason: `The body begins like ${mediaType}, but ${error.message}.` };
  }
}

/** Whether the text's characters, as bytes, stand at `offset`. */
function holds(bytes: Uint8Array, offset: number, text: string): boolean {
  if (bytes.length < offset + text.length) return false;
  for (let i = 0; i < text.length; i++) {
    if (bytes[offset + i] !== text.charCodeAt(i)) return false;
  }
  return true;
}
