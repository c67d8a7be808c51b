import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { HeldOut, RoundRecord } from "../../scripts/loop/record.ts";
import { runLoop, temporaryFolder } from "./support.ts";

interface LoopResult {
  readonly ok: boolean;
  readonly promoted: number;
  readonly fell: readonly string[];
  readonly heldOut: HeldOut;
  readonly rounds: readonly RoundRecord[];
}

function lastLine(stdout: string): LoopResult {
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as LoopResult;
}

describe("npm start -- --once --fresh --json on generated scenes", () => {
  const state = temporaryFolder();
  const args = ["--once", "--json", "--port", "0", "--state", state, "--images", "200"];

  it("promotes an adapter that answers better on images it never saw, and no guard slice falls", async () => {
    const ended = await runLoop([...args, "--fresh", "--rounds", "1"]);
    expect(ended.stderr).toBe("");
    expect(ended.code).toBe(0);
    const result = lastLine(ended.stdout);
    expect(result).toMatchObject({ ok: true, promoted: 1, fell: [] });
    const { all, tasks } = result.heldOut;
    expect(all.n).toBeGreaterThan(1_000);
    expect(all.rightAfter).toBeGreaterThan(all.rightBefore);
    const counting = tasks.find(({ name }) => name === "counting");
    expect(counting?.rightAfter).toBeGreaterThan(counting?.rightBefore ?? Number.POSITIVE_INFINITY);
    const [round] = result.rounds;
    expect(round?.edits.asked).toBe((round?.edits.accepted ?? 0) + (round?.edits.refused ?? 0));
    expect(round?.trained?.pairs).toBeGreaterThan(0.5 * (round?.edits.accepted ?? Number.POSITIVE_INFINITY));
    expect(round?.trained?.pairs).toBeLessThan(round?.edits.accepted ?? 0);
    expect(round?.trained?.scored).toBeGreaterThan(0);
    expect(round?.trained?.refused).toBe(0);
    expect(round?.champion).toBe(round?.trained?.adapter);
    for (const line of round?.tick.lines ?? []) expect(line.sentence).toMatch(/exposures failed/);
    for (const word of ["failures", "accepted", "reward accuracy", "held out: counting", "yes-rate", "verdict"]) {
      expect(ended.stdout).toContain(word);
    }
  });

  it("goes on where it stopped: the next run is the second round, with the champion of the first", async () => {
    const before = JSON.parse(readFileSync(join(state, "loop.json"), "utf8")) as { rounds: RoundRecord[] };
    expect(existsSync(join(state, "edge"))).toBe(true);
    const ended = await runLoop([...args, "--rounds", "1"]);
    const result = lastLine(ended.stdout);
    expect(result.rounds.map(({ round }) => round)).toEqual([0, 1]);
    expect(result.rounds[1]?.before.adapter).toBe(before.rounds[0]?.champion);
    expect(result.rounds[1]?.served.reporter.stored).toBeGreaterThan(0);
    expect(ended.code).toBe(0);
  });

  it("keeps the state of one world and seed from another's", async () => {
    const ended = await runLoop([...args, "--seed", "7"]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/holds the state of world scenes, seed 0/);
  });
});
