import { createHash } from "node:crypto";

const encoder = new TextEncoder();

/** Lower-case hex SHA-256 of text (as UTF-8) or bytes: 64 digits. At once: Web Crypto would give up the thread for every hash. */
export function sha256Hex(data: string | Uint8Array): string {
  const bytes = typeof data === "string" ? encoder.encode(data) : data;
  return createHash("sha256").update(bytes).digest("hex");
}

/** Two lower-case hex digits of each byte. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
