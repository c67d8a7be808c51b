import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  amber,
  confusionOf,
  questionAccuracy,
  sugarcrepe,
  withErrorTypes,
} from "../../bench/classification/evaluate.ts";
import { DEVELOPED_ON } from "../../bench/classification/questions.ts";
import { taskOf } from "../../shared/taxonomy/task.ts";

const FOLDER = fileURLToPath(String(new URL("../../../shared/data", import.meta.url)));
const read = (path: string) => readFileSync(`${FOLDER}/${path}`, "utf8");

describe("on the half of the data that no rule was written from", () => {
  test("the error type of human-checked caption negatives (SugarCrepe) is right for 80 of 100, in every file for 70", (context) => {
    if (!existsSync(`${FOLDER}/sugarcrepe`)) context.skip("../shared/data/sugarcrepe is not there");
    const { accuracy, rows, rights } = confusionOf(sugarcrepe(read, "held-out"), "errorType");
    expect(accuracy).toBeGreaterThanOrEqual(0.8);
    expect(rows.size).toBe(7);
    for (const [kind, row] of rows) {
      const n = [...row.values()].reduce((sum, count) => sum + count, 0);
      expect((rights.get(kind) ?? 0) / n, kind).toBeGreaterThanOrEqual(0.7);
    }
  });

  test("the task and error type of questions about hallucinations (AMBER) are right for 95 of 100", (context) => {
    if (!existsSync(`${FOLDER}/amber`)) context.skip("../shared/data/amber is not there");
    const questions = amber(read, "held-out");
    expect(confusionOf(questions, "task").accuracy).toBeGreaterThanOrEqual(0.95);
    expect(confusionOf(withErrorTypes(questions), "errorType").accuracy).toBeGreaterThanOrEqual(0.95);
  });
});

test.each(DEVELOPED_ON)("%j keeps its task", (question, ...accepted) => {
  expect(accepted).toContain(taskOf(question));
});

test("the task of freely worded questions is right for 85 of 100", () => {
  expect(questionAccuracy()).toBeGreaterThanOrEqual(0.85);
});
