import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { SCENARIOS } from "../client-scenarios/index.ts";
import type { Offered } from "../client-scenarios/page.ts";
import { type IntakeServer, startIntakes } from "../client-scenarios/server.ts";
import { failure, until } from "../client-scenarios/world.ts";

/** The client in a page. Nothing is loaded from anywhere but this test's own server. */

declare global {
  var nearmiss: Offered;
}

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = PLACES.find((path) => path !== undefined && existsSync(path));
if (!executablePath) console.warn("No Chromium found: the tests in a page are skipped. Name one in $CHROMIUM.");

describe.skipIf(!executablePath)("in Chromium", () => {
  let server: IntakeServer;
  let browser: Browser;
  let page: Page;
  const strangers: string[] = [];
  const errors: string[] = [];

  beforeAll(async () => {
    const entryPoints = [fileURLToPath(new URL("../client-scenarios/page.ts", import.meta.url))];
    const { outputFiles } = await build({ entryPoints, bundle: true, format: "iife", target: "es2022", write: false });
    const html = '<!doctype html><link rel="icon" href="data:,"><script src="/page.js"></script>';
    server = await startIntakes({
      "/page": { type: "text/html", body: html },
      "/page.js": { type: "text/javascript", body: outputFiles[0]?.text ?? "" },
    });
    browser = await chromium.launch({ ...(executablePath && { executablePath }), args: ["--no-sandbox"] });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  beforeEach(async () => {
    page = await browser.newPage();
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol !== "data:" && origin !== server.origin && origin !== server.deadOrigin)
        strangers.push(request.url());
    });
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(`${server.origin}/page`);
  });
  afterEach(async () => {
    await page.close();
    expect({ strangers, errors }).toEqual({ strangers: [], errors: [] });
  });

  test.each(SCENARIOS)("$name", ({ name }) => {
    const { origin, deadOrigin } = server;
    return page.evaluate(([name, origins]) => globalThis.nearmiss.run(name, origins), [
      name,
      { origin, deadOrigin },
    ] as const);
  });

  /** Reports in the page what would wait for minutes, and gives the address where it arrives. */
  async function reportAndWait(run: string, count: number): Promise<string> {
    const baseUrl = `${server.origin}/run/${run}/none`;
    const event = failure({ response: "x".repeat(1_000) });
    const args = { baseUrl, event, count };
    const waiting = await page.evaluate(({ baseUrl, event, count }) => {
      const reporter = new globalThis.nearmiss.Reporter({ baseUrl, key: "nm_k", lingerMs: 600_000 });
      for (let n = 0; n < count; n++) reporter.report(event);
      return reporter.stats().waiting;
    }, args);
    expect(waiting).toBe(count);
    return `${server.origin}/run/${run}/seen`;
  }

  async function arrived(seen: string): Promise<number> {
    return ((await (await fetch(seen)).json()) as { events: unknown[] }).events.length;
  }

  test("closing the page sends what waits", async () => {
    const seen = await reportAndWait("closed", 20);
    expect(await arrived(seen)).toBe(0);
    await page.close({ runBeforeUnload: true });
    await until(async () => (await arrived(seen)) === 20, "the events of a closed page arrived");
  });

  test("going to another page sends what waits, as far as a page may", async () => {
    const seen = await reportAndWait("gone", 100);
    await page.goto("about:blank");
    await until(async () => (await arrived(seen)) > 40, "the events of a page that was left arrived");
    expect(await arrived(seen)).toBeLessThan(60);
  });
});
