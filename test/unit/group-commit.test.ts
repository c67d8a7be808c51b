import fc from "fast-check";
import { expect, test } from "vitest";
import { GroupCommit, Overloaded } from "../../workers/ingest/group-commit.ts";

/** Items that come together are committed together; each gets its own answer, once, after its own commit. */

const tick = () => new Promise((resume) => setTimeout(resume, 0));

test("while one commit is under way, the next items gather into one", async () => {
  const groups: number[][] = [];
  let finish = () => {};
  const commit = async (items: readonly number[]) => {
    groups.push([...items]);
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    return items.map((item) => item * 10);
  };
  const group = new GroupCommit<number, number>(commit, { group: 100, waiting: 100 });
  const answers = [1, 2, 3, 4].map((item) => group.add(item, 1));
  expect(groups, "the first does not wait for company").toEqual([[1]]);
  finish();
  expect(await answers[0]).toBe(10);
  await expect.poll(() => groups.length).toBe(2);
  expect(groups[1]).toEqual([2, 3, 4]);
  finish();
  expect(await Promise.all(answers)).toEqual([10, 20, 30, 40]);
});

test("every item is committed exactly once, in order, in groups within the limit, whatever fails", async () => {
  const item = fc.record({
    weight: fc.integer({ min: 0, max: 12 }),
    fate: fc.constantFrom("good", "good", "good", "refused", "thrown"),
    pause: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 30 }), async (items) => {
      const seen: number[] = [];
      let running = 0;
      const commit = async (group: readonly number[]) => {
        running += 1;
        expect(running, "one commit at a time").toBe(1);
        await tick();
        running -= 1;
        seen.push(...group);
        const weight = group.reduce((sum, index) => sum + (items[index]?.weight ?? 0), 0);
        expect(weight <= 20 || group.length === 1).toBe(true);
        if (group.some((index) => items[index]?.fate === "thrown")) throw new Error("all");
        return group.map((index) => (items[index]?.fate === "refused" ? new Error(`not ${index}`) : index));
      };
      const group = new GroupCommit<number, number>(commit, { group: 20, waiting: 1_000 });
      const answers: Promise<number | string>[] = [];
      for (const [index, { weight, pause }] of items.entries()) {
        answers.push(group.add(index, weight).catch((error) => error.message as string));
        if (pause) await tick();
      }
      const outcomes = await Promise.all(answers);
      expect(seen).toEqual(items.map((_, index) => index));
      for (const [index, outcome] of outcomes.entries()) {
        if (items[index]?.fate === "refused") expect(["all", `not ${index}`]).toContain(outcome);
        else if (items[index]?.fate === "good") expect(["all", index]).toContain(outcome);
        else expect(outcome).toBe("all");
      }
    }),
    { numRuns: 60 },
  );
});

test("what is too much is refused at once, and the rest goes on", async () => {
  const commit = async (items: readonly number[]) => {
    await tick();
    return items;
  };
  const group = new GroupCommit<number, number>(commit, { group: 10, waiting: 10 });
  const running = group.add(1, 5);
  const waiting = [group.add(2, 6), group.add(3, 4)];
  await expect(group.add(4, 1)).rejects.toBeInstanceOf(Overloaded);
  expect(await Promise.all([running, ...waiting])).toEqual([1, 2, 3]);
  expect(await group.add(5, 50), "a single heavy item is no crowd").toBe(5);
});
