import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Ended, runLoop, temporaryFolder } from "./support.ts";

function expectOneClearLine(ended: Ended, words: RegExp) {
  expect(ended.code).toBe(2);
  const lines = ended.stderr.trim().split("\n");
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(words);
}

describe("a mistake at the terminal is one clear line and exit code 2", () => {
  it("names the port that is in use", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    const ended = await runLoop(["--once", "--port", String(port), "--state", temporaryFolder()]);
    server.close();
    expectOneClearLine(ended, new RegExp(`port ${port} is in use`));
  });

  it("names the state folder that cannot be written", async () => {
    const file = join(temporaryFolder(), "a-file");
    writeFileSync(file, "");
    expectOneClearLine(await runLoop(["--once", "--state", join(file, "state")]), /state folder .* cannot be written/);
  });

  it("names the data that are missing", async () => {
    const nowhere = join(temporaryFolder(), "nowhere");
    const ended = await runLoop(["--once", "--world", "nlvr", "--data", nowhere, "--state", temporaryFolder()]);
    expectOneClearLine(ended, /--data: .*nowhere.* is missing/);
    expectOneClearLine(await runLoop(["--world", "nlvr", "--state", temporaryFolder()]), /--world nlvr needs --data/);
  });

  it.each([
    [["--rounds", "many"], /--rounds must be a whole number/],
    [["--world", "mars"], /--world must be one of scenes, nlvr/],
    [["--sed", "1"], /--sed/],
    [["--port", "70000"], /--port must be a whole number/],
    [["--policy", "training.learningRat=1"], /--policy: there is no training.learningRat/],
    [["--policy", "training.learningRate=-1"], /--policy: training.learningRate/],
  ])("%j", async (args, words) => {
    expectOneClearLine(await runLoop(["--once", "--state", temporaryFolder(), "--port", "0", ...args]), words);
  });
});

describe("without Python", () => {
  it("says so, says what is missing for training, and promotes nothing", async () => {
    const ended = await runLoop(["--once", "--port", "0", "--state", temporaryFolder()], {
      NEARMISS_TRAINER_PYTHON: "",
      NEARMISS_PYTHON_MISSING: "Python 3.11 or newer with venv was not found",
    });
    expect(ended.stdout).toMatch(/edge +http:\/\/127\.0\.0\.1:\d+ in workerd/);
    expect(ended.stdout).toMatch(/No training here: Python 3.11/);
    expect(ended.stdout).toMatch(/Missing for training/);
    expect(ended.code).toBe(1);
  });
});
