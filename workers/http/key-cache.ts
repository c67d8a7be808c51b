import type { LiveKey } from "../store/keys.ts";

/** A key that was revoked elsewhere works for this much longer, ms. */
export const KEY_CACHE_MS = 20_000;
export const KEY_CACHE_MAX = 5_000;

/** How a key is named: by the hash of what its holder sends, or by its id. */
export type KeyName = { readonly keySha256: string } | { readonly id: string };

interface Entry {
  readonly key: LiveKey;
  readonly loadedAtMs: number;
}

/**
 * The live keys that this isolate saw lately, so that a busy key costs no query per call. It holds their hashes, never the
 * keys, and nothing of keys that do not exist. The key that was loaded first makes room for a new one.
 */
export class KeyCache {
  /** By the key's hash, in the order of loading. */
  readonly #entries = new Map<string, Entry>();
  readonly #hashes = new Map<string, string>();
  #forgotten = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** The key, when it is held and was not held for too long. */
  held(name: KeyName, nowMs: number): LiveKey | null {
    const entry = this.#entries.get("id" in name ? (this.#hashes.get(name.id) ?? "") : name.keySha256);
    return entry && nowMs - entry.loadedAtMs < KEY_CACHE_MS ? entry.key : null;
  }

  /**
   * The key, loaded by `load` when it is not held or was held for too long.
   * @throws what `load` throws
   */
  async get(name: KeyName, nowMs: number, load: () => Promise<LiveKey | null>): Promise<LiveKey | null> {
    const held = this.held(name, nowMs);
    if (held) return held;
    const before = this.#forgotten;
    const key = await load();
    // A key that was revoked while it was read may have been read before that.
    if (key && this.#forgotten === before) this.#hold(key, nowMs);
    return key;
  }

  /** Must be called after a key's row was changed. */
  forget(id: string): void {
    this.#forgotten += 1;
    this.#drop(id);
  }

  #hold(key: LiveKey, loadedAtMs: number): void {
    this.#drop(key.id);
    const [oldest] = this.#entries.values();
    if (oldest && this.#entries.size >= KEY_CACHE_MAX) this.#drop(oldest.key.id);
    this.#entries.set(key.keySha256, { key, loadedAtMs });
    this.#hashes.set(key.id, key.keySha256);
  }

  #drop(id: string): void {
    const keySha256 = this.#hashes.get(id);
    if (keySha256 === undefined) return;
    this.#hashes.delete(id);
    this.#entries.delete(keySha256);
  }
}
