import type { Context, Hono } from "hono";
import { OPERATIONS } from "../../shared/contracts/api.ts";
import type { EventsText } from "../http/body.ts";
import type { AppEnv } from "../http/context.ts";
import { mount } from "../http/operation.ts";
import { getImage, listMissing, putImage } from "./images.ts";
import { makeLink } from "./links.ts";
import type { EventKind } from "./read-event.ts";
import { answerFailure, getFailure, getIntake, listFailures, releaseHeld } from "./review.ts";
import { submitEvents } from "./submit.ts";
import { makeToken } from "./tokens.ts";

/** What deployed clients send: their failures and the images these are about. */
export function mountIngest(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.submitFailures, (c, { body }) => submit(c, "failure", body));
  mount(app, OPERATIONS.submitPairs, (c, { body }) => submit(c, "pair", body));
  mountImages(app);
  mount(app, OPERATIONS.createToken, (c, { body }) => makeToken(c.env, c.get("actor"), body, Date.now()));
  mount(app, OPERATIONS.createLink, (c, { body }) => makeLink(c.env, c.get("actor"), body, c.req.url, Date.now()));
}

/** What operators do with events that the intake could not finish by itself. */
export function mountReview(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.listFailures, (c, { query }) => listFailures(c.env, c.get("actor"), query));
  mount(app, OPERATIONS.releaseFailures, (c, { body }) => releaseHeld(c.env, c.get("actor"), body, Date.now()));
  mount(app, OPERATIONS.getFailure, (c, { path }) => getFailure(c.env, c.get("actor"), path.id));
  mount(app, OPERATIONS.answerFailure, (c, { path, body }) =>
    answerFailure(c.env, c.get("actor"), path.id, body, Date.now()),
  );
  mount(app, OPERATIONS.getIntake, (c) => getIntake(c.env, c.get("actor"), Date.now()));
}

async function submit(c: Context<AppEnv>, kind: EventKind, body: EventsText) {
  const { results, counts } = await submitEvents(c.env, c.get("actor"), kind, body, Date.now(), (work) =>
    c.executionCtx.waitUntil(work),
  );
  Object.assign(c.get("log"), counts);
  return c.body(`{"results":${results}}`, 200, { "content-type": "application/json" });
}

function mountImages(app: Hono<AppEnv>): void {
  mount(app, OPERATIONS.listMissingImages, async (c, { body }) => ({
    missing: await listMissing(c.env, c.get("actor"), body.sha256, Date.now()),
  }));
  mount(app, OPERATIONS.putImage, (c, { path, body }) =>
    putImage(c.env, c.get("actor"), path.sha256, body, Date.now()),
  );
  mount(app, OPERATIONS.getImage, async (c, { path }) => {
    const image = await getImage(c.env, c.get("actor"), path.sha256);
    return c.body(image.body, 200, {
      "content-type": image.mediaType,
      "content-length": String(image.bytes),
      // Bytes that a client sent: never to be run or read as something else.
      "content-security-policy": "default-src 'none'; sandbox",
      "x-content-type-options": "nosniff",
      "cache-control": "private, max-age=31536000, immutable",
    });
  });
}
