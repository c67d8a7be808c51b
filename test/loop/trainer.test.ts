import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PythonChild } from "../../scripts/loop/child.ts";
import { changePolicy } from "../../scripts/loop/policy.ts";
import type { Served, Trained } from "../../scripts/loop/record.ts";
import { waitForEdits } from "../../scripts/loop/turn.ts";
import { ROOT, startEdge, type TestEdge, temporaryFolder, trainerPython } from "./support.ts";

const MODEL = join(ROOT, "gpu-trainer", "miniature");

interface Line {
  readonly phase?: string;
  readonly step?: number;
  readonly note?: string;
  readonly summary?: Trained;
}

/** An edge with a batch of pairs made from the miniature's own mistakes on generated scenes. */
async function edgeWithBatch(images: number): Promise<TestEdge> {
  const edge = await startEdge();
  const deployed = new PythonChild({
    python: trainerPython(),
    root: ROOT,
    key: await edge.key("ingest"),
    log: join(edge.state, "deployed.log"),
    args: [
      "deployed",
      "--api",
      edge.url,
      "--model",
      MODEL,
      "--world",
      "scenes",
      "--state",
      join(edge.state, "deployed"),
    ],
  });
  const served = await deployed.ask<Served>({ cmd: "serve", round: 0, images });
  expect(served.wrong).toBeGreaterThan(0);
  await deployed.ask({ cmd: "evaluate" });
  deployed.kill();
  const tick = await edge.api.tick("first", 1);
  expect((await waitForEdits(edge.api, tick.id)).accepted).toBeGreaterThan(0);
  return edge;
}

async function startRound(edge: TestEdge, state: string, recipe: readonly string[] = []): Promise<PythonChild> {
  return new PythonChild({
    python: trainerPython(),
    root: ROOT,
    key: await edge.key("train"),
    log: join(edge.state, "trainer.log"),
    args: [
      ...["round", "--api", edge.url, "--model", MODEL, "--state", state, "--now", "--json"],
      ...recipe.flatMap((setting) => ["--recipe", setting]),
    ],
  });
}

async function summaryOf(child: PythonChild, onLine: (line: Line) => void = () => {}): Promise<Trained> {
  let summary: Trained | undefined;
  for await (const text of child.lines) {
    const line = JSON.parse(text) as Line;
    onLine(line);
    summary = line.summary ?? summary;
  }
  if (!summary) throw await child.failure();
  return summary;
}

/** Pairs that were never trained on and are ready or leased. */
async function waiting(edge: TestEdge): Promise<number> {
  return (await edge.api.regions()).regions.reduce((sum, { backlog }) => sum + backlog, 0);
}

/** Pairs that a round holds. */
async function leased(edge: TestEdge): Promise<readonly unknown[]> {
  const headers = { authorization: `Bearer ${await edge.key("operate")}` };
  const response = await fetch(`${edge.url}/v1/pairs?state=leased`, { headers });
  return ((await response.json()) as { pairs: unknown[] }).pairs;
}

/** Lets the round train some steps, then kills it without warning. */
async function killInTraining(child: PythonChild, afterStep: number): Promise<void> {
  for await (const text of child.lines) {
    const line = JSON.parse(text) as Line;
    if (line.phase === "train" && (line.step ?? 0) >= afterStep) break;
  }
  child.kill("SIGKILL");
  await child.exited;
}

describe("a planted bad round", () => {
  let edge: TestEdge;
  beforeAll(async () => {
    edge = await edgeWithBatch(150);
  });
  afterAll(() => edge.close());

  it("is rejected by the gate although reward accuracy and margin look better than in a good round", async () => {
    const bad = await summaryOf(
      await startRound(edge, temporaryFolder(), ["learningRate=0.003", "anchor=0", "epochs=3"]),
    );
    const good = await summaryOf(await startRound(edge, temporaryFolder()));
    expect(bad.rewardAccuracyAfter).toBeGreaterThan(good.rewardAccuracyAfter);
    expect(bad.marginAfter).toBeGreaterThan(good.marginAfter);
    expect(bad.gate.all.rightAfter).toBeLessThan(bad.gate.all.rightBefore);
    expect(bad.verdict).toBe("rejected");
    expect(bad.champion).toBeNull();
    // The rejected round gave its pairs back; what it measured moved the predictions by which the good one's batch was chosen.
    expect(good.pairs).toBeGreaterThan(0.8 * bad.pairs);
    expect(good.gate.all.rightAfter).toBeGreaterThan(good.gate.all.rightBefore);
  });
});

describe("a trainer that is killed in mid-round", () => {
  let edge: TestEdge;
  beforeAll(async () => {
    edge = await edgeWithBatch(80);
    await changePolicy(edge.api, [
      ["training.minPairs", 50],
      ["training.groupsPerStep", 4],
    ]);
  });
  afterAll(() => edge.close());

  it("goes on with the same round and the same batch where it was cut", async () => {
    const state = temporaryFolder();
    await killInTraining(await startRound(edge, state), 12);
    const notes: string[] = [];
    const steps: number[] = [];
    const summary = await summaryOf(await startRound(edge, state), ({ phase, step, note }) => {
      if (note) notes.push(note);
      if (phase === "train" && step) steps.push(step);
    });
    expect(summary.resumed).toBe(true);
    expect(notes.join("\n")).toMatch(/going on after step \d+ of \d+/);
    expect(Math.min(...steps)).toBeGreaterThan(1);
    const { rounds } = await edge.api.rounds();
    expect(rounds.filter((round) => round.id === summary.round)).toHaveLength(1);
    expect(rounds[0]).toMatchObject({ state: "completed", pairs: summary.pairs + summary.scored });
  });

  it("loses its lease in time, and another trainer claims the pairs anew: none lost, none twice", async () => {
    await changePolicy(edge.api, [["training.leaseTtlMs", 3_000]]);
    const tick = await edge.api.tick("second", 2);
    await waitForEdits(edge.api, tick.id);
    const before = await waiting(edge);
    const child = await startRound(edge, temporaryFolder());
    await killInTraining(child, 3);
    expect(await waiting(edge)).toBe(before);
    const [cut] = (await edge.api.rounds()).rounds.filter((round) => round.state === "claimed");
    expect(cut).toBeDefined();
    await sleep(3_500);
    await changePolicy(edge.api, [["training.leaseTtlMs", 120_000]]);
    const again = await summaryOf(await startRound(edge, temporaryFolder()));
    expect(again.resumed).toBe(false);
    expect(again.round).not.toBe(cut?.id);
    // Not quite the same pairs: those that the first claim passed over stand behind the others now.
    const share = (again.pairs + again.scored + again.refused) / (cut?.pairs ?? 0);
    expect(share).toBeGreaterThan(0.9);
    expect(share).toBeLessThan(1.1);
    expect(await leased(edge)).toEqual([]);
    expect(await waiting(edge)).toBeGreaterThanOrEqual(before - again.pairs - again.refused);
    const { rounds } = await edge.api.rounds();
    expect(rounds.find((round) => round.id === cut?.id)?.state).toBe("expired");
  });
});
