import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { seeded, seedFor } from "../../shared/edits/random.ts";
import { bundleWorker } from "../edge/bundle.ts";
import { type EdgeProcess, startEdgeProcess } from "../edge/process.ts";
import { OperatorApi } from "../loop/api.ts";
import { type Audit, audit } from "./audit.ts";
import { report, type Target } from "./client.ts";
import { Ledger } from "./ledger.ts";

const ROOT = dirname(dirname(import.meta.dirname));
const CLIENTS = 4;
/** Requests that each client has in flight at a time. */
const LANES = 4;
/** A server lives at most this long under load. */
const LIFE_MS = 800;
/** Starts after which everything that was queued must be stored. */
const DRAIN_STARTS = 5;
const DRAIN_MS = 3_000;
/** Age at which a sweep may take up what waits: the cron is told that it is so much later. */
const SWEEP_LATER_MS = 3_600_000;
/** Time for the last clean start to take everything. */
const LAST_MS = 60_000;
const REPORT_CAP = 1_000_000;
const NO_LIMITS = { eventsPerMinute: 1_000_000_000, requestsPerMinute: 1_000_000_000 };

export interface CrashReport extends Audit {
  readonly kills: number;
  /** Kills while requests waited for their answers. */
  readonly killsUnderLoad: number;
  readonly events: number;
  /** Times an event was sent again, because no answer had come or on purpose. */
  readonly retries: number;
  /** Results `duplicate` and `queued`. */
  readonly duplicates: number;
  readonly queued: number;
  /** Answers that asked to come again, and those that were errors of the edge. */
  readonly busy: number;
  readonly failed: number;
  readonly seconds: number;
}

/**
 * Kills the edge again and again while clients report to it, who send everything until it is acknowledged. After a last clean
 * start the store is held against what they sent.
 * @param tell takes one line per kill
 * @throws {Error} when the edge refuses an event, or does not take all of them in the end
 */
export async function crash(kills: number, seed: number, tell: (line: string) => void): Promise<CrashReport> {
  const started = performance.now();
  const state = mkdtempSync(join(tmpdir(), "nearmiss-crash-"));
  const adminKey = `nm_${randomBytes(32).toString("base64url")}`;
  const adminKeySha256 = createHash("sha256").update(adminKey).digest("hex");
  const bundle = await bundleWorker(join(ROOT, "workers/index.ts"), false);
  const start = () => startEdgeProcess({ root: ROOT, state, port: 0, adminKeySha256, vars: {}, bundle });
  let edge = await start();
  const target: Target = {
    url: Promise.resolve(edge.url),
    fresh: true,
    inFlight: 0,
    busy: 0,
    failed: 0,
    lastRefusal: "none",
  };
  try {
    const ledgers = await openLedgers(new OperatorApi(edge.url, adminKey), seed);
    const reporting = Promise.all(ledgers.flatMap((ledger) => lanes(target, ledger, seed)));
    reporting.catch(() => {}); // it is awaited in the race below
    const moments = seeded(seedFor(seed, "moments"));
    let killsUnderLoad = 0;
    for (let kill = 1; kill <= kills; kill++) {
      await Promise.race([sleep(moments() * LIFE_MS), reporting]);
      if (target.inFlight > 0) killsUnderLoad += 1;
      tell(`kill ${kill}: ${target.inFlight} requests in flight, ${total(ledgers, "stored")} events stored so far`);
      const { promise, resolve } = Promise.withResolvers<string>();
      target.url = promise;
      await edge.kill();
      edge = await start();
      resolve(edge.url);
    }
    target.fresh = false;
    await Promise.race([reporting, late(target)]);
    const found = await settle(edge, start, () => audit(state, ledgers));
    const entries = ledgers.flatMap((ledger) => ledger.entries);
    return {
      ...found,
      kills,
      killsUnderLoad,
      events: entries.length,
      retries: entries.reduce((sum, { sent }) => sum + sent - 1, 0),
      duplicates: total(ledgers, "duplicate"),
      queued: total(ledgers, "queued"),
      busy: target.busy,
      failed: target.failed,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    target.fresh = false;
    await edge.kill();
    rmSync(state, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function openLedgers(api: OperatorApi, seed: number): Promise<Ledger[]> {
  const ledgers: Ledger[] = [];
  for (let index = 0; index < CLIENTS; index++) {
    const client = await api.createKey(`client ${index}`, ["ingest"], REPORT_CAP, NO_LIMITS);
    ledgers.push(new Ledger(client, seeded(seedFor(seed, `ledger ${index}`))));
  }
  return ledgers;
}

function lanes(target: Target, ledger: Ledger, seed: number): Promise<void>[] {
  return Array.from({ length: LANES }, (_, lane) =>
    report(target, ledger, seeded(seedFor(seed, `${ledger.clientId} ${lane}`))),
  );
}

/** Stops the edge and audits its store; what was answered `queued` gets its time, and the cron, to be stored. */
async function settle(edge: EdgeProcess, start: () => Promise<EdgeProcess>, look: () => Audit): Promise<Audit> {
  await edge.close();
  let found = look();
  for (let attempt = 0; attempt < DRAIN_STARTS && found.waiting > 0; attempt++) {
    const again = await start();
    try {
      await again.cron(new Date(Date.now() + SWEEP_LATER_MS));
      await sleep(DRAIN_MS);
    } finally {
      await again.close();
    }
    found = look();
  }
  return found;
}

function total(ledgers: readonly Ledger[], status: "stored" | "duplicate" | "queued"): number {
  return ledgers.flatMap((ledger) => ledger.entries).reduce((sum, { answers }) => sum + (answers[status] ?? 0), 0);
}

async function late(target: Target): Promise<never> {
  await sleep(LAST_MS, undefined, { ref: false });
  const { inFlight, busy, failed, lastRefusal } = target;
  throw new Error(
    `${LAST_MS / 1000} s after the last start not every event is acknowledged: ${inFlight} requests in flight, ` +
      `${busy} answers busy, ${failed} failed, the last one ${lastRefusal}`,
  );
}
