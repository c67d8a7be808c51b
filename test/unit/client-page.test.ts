import { afterEach, expect, test, vi } from "vitest";
import { Reporter } from "../../client/src/index.ts";
import { failure, until } from "../client-scenarios/world.ts";

/** Leaving a page, with a page that is only its events: what goes out, what stays, and what is left behind. */

const KEEPALIVE_BYTES = 65_536;

class Target extends EventTarget {
  readonly heard = new Set<unknown>();
  override addEventListener(type: string, listener: EventListener): void {
    this.heard.add(listener);
    super.addEventListener(type, listener);
  }
  override removeEventListener(type: string, listener: EventListener): void {
    this.heard.delete(listener);
    super.removeEventListener(type, listener);
  }
}

interface Sent {
  path: string;
  events: { eventId: string }[];
  bytes: number;
  keepalive: boolean;
}

function openPage(answer: (sent: Sent) => Response | Promise<Response>) {
  const document = Object.assign(new Target(), { visibilityState: "visible" });
  const window = new Target();
  vi.stubGlobal("document", document);
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  const sent: Sent[] = [];
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const body = init?.body instanceof Uint8Array ? init.body : new Uint8Array();
    const isZipped = new Headers(init?.headers).has("content-encoding");
    const events = isZipped || body.length === 0 ? [] : (JSON.parse(new TextDecoder().decode(body)).events ?? []);
    const one = {
      path: new URL(String(input)).pathname,
      events,
      bytes: body.length,
      keepalive: init?.keepalive === true,
    };
    sent.push(one);
    return answer(one);
  };
  const hide = () => {
    document.visibilityState = "hidden";
    document.dispatchEvent(new Event("visibilitychange"));
  };
  const leave = () => {
    hide();
    window.dispatchEvent(new Event("pagehide"));
  };
  const options = { baseUrl: "https://edge.test", key: "nm_k", fetch, lingerMs: 60_000, retryFirstMs: 1 };
  return { sent, hide, leave, options, listeners: () => document.heard.size + window.heard.size };
}

function stored({ events, path }: Sent): Response {
  if (path.endsWith("/missing")) return Response.json({ missing: [] });
  return Response.json({ results: events.map(({ eventId }) => ({ eventId, status: "stored" })) });
}

afterEach(() => {
  vi.unstubAllGlobals();
});

test("what waits goes out in the moment that the page is left, once, as requests that outlive it", async () => {
  const page = openPage(stored);
  const reporter = new Reporter(page.options);
  const ids = [reporter.report(failure()), reporter.report(failure())];
  const { model, conversation } = failure();
  const pair = reporter.reportPair({
    model,
    conversation,
    responses: [
      { text: "a", reward: 1 },
      { text: "b", reward: 0 },
    ],
  });
  page.leave();
  expect(
    page.sent.map(({ path, events, keepalive }) => [path, events.map(({ eventId }) => eventId), keepalive]),
  ).toEqual([
    ["/v1/failures", ids, true],
    ["/v1/pairs", [pair], true],
  ]);
  expect(await reporter.flush()).toBe(true);
  expect(reporter.stats()).toMatchObject({ stored: 3, waiting: 0 });
  await reporter.close();
});

test("no more goes out than a page may send; the rest stays, and goes out later", async () => {
  const page = openPage(stored);
  const reporter = new Reporter(page.options);
  reporter.report(failure({ response: "x".repeat(100_000) }));
  for (let n = 0; n < 20; n++) reporter.report(failure({ response: "x".repeat(9_000) }));
  page.leave();
  const [first, ...others] = page.sent;
  expect(others).toEqual([]);
  expect(first?.keepalive).toBe(true);
  expect(first?.bytes).toBeLessThanOrEqual(KEEPALIVE_BYTES);
  expect(first?.events.length).toBeGreaterThanOrEqual(5);
  expect(reporter.stats().waiting).toBe(21);
  await until(() => reporter.stats().stored === first?.events.length, "the answer came");
  expect(reporter.stats().waiting).toBe(21 - (first?.events.length ?? 0));
  await reporter.close(0);
});

test("an event whose image is not uploaded yet goes ahead of it, and again with it", async () => {
  const page = openPage(stored);
  const reporter = new Reporter(page.options);
  const hash = "ab".repeat(32);
  const id = reporter.report(
    failure({ conversation: [{ role: "user", content: [{ type: "image", sha256: hash }] }] }),
    { [hash]: new Uint8Array(1_000) },
  );
  reporter.report(failure({ conversation: [{ role: "user", content: [{ type: "image", image: 0 }] }] }), [
    new Uint8Array(9),
  ]);
  page.leave();
  expect(page.sent.map(({ path, events }) => [path, events.map(({ eventId }) => eventId)])).toEqual([
    ["/v1/failures", [id]],
  ]);
  expect(reporter.stats().waiting).toBe(2);
  reporter.flush();
  await until(() => page.sent.length === 3, "the rest is sent");
  expect(page.sent.slice(1).map(({ path }) => path)).toEqual(["/v1/images/missing", "/v1/failures"]);
  await reporter.close();
  expect(reporter.stats()).toMatchObject({ stored: 2, waiting: 0 });
});

test("what could not go out is back, and can go out the next time", async () => {
  let isBroken = true;
  const page = openPage((sent) => {
    if (isBroken) throw new TypeError("too much under way");
    return stored(sent);
  });
  const reporter = new Reporter({ ...page.options, retryFirstMs: 60_000 });
  reporter.report(failure());
  page.leave();
  await until(() => reporter.stats().failedRequests === 1, "the request failed");
  expect(reporter.stats().waiting).toBe(1);
  isBroken = false;
  page.hide();
  await until(() => reporter.stats().stored === 1, "sent");
  await reporter.close();
});

test("without a token at hand nothing can go out, and nothing is lost", async () => {
  const page = openPage(stored);
  const { key, ...options } = page.options;
  const reporter = new Reporter({ ...options, token: async () => "nmt_t" });
  reporter.report(failure());
  page.leave();
  expect([page.sent.length, reporter.stats().waiting]).toEqual([0, 1]);
  expect(await reporter.flush()).toBe(true);
  reporter.report(failure());
  page.leave();
  expect([key.length > 0, page.sent.length]).toEqual([true, 2]);
  await reporter.close();
});

test("small batches outlive the page anyway, and after the end nothing listens", async () => {
  const page = openPage(stored);
  const reporter = new Reporter({ ...page.options, lingerMs: 0 });
  expect(page.listeners()).toBe(2);
  reporter.report(failure());
  expect(await reporter.flush()).toBe(true);
  expect(page.sent.map(({ keepalive }) => keepalive)).toEqual([true]);
  await reporter.close();
  expect(page.listeners()).toBe(0);
  page.leave();
  expect(page.sent.length).toBe(1);
});
