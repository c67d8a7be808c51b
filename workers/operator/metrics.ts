import type { ErrorCode } from "../../shared/contracts/common.ts";
import { EVENT_STATUSES, HOLD_REASONS } from "../../shared/contracts/ingest.ts";
import type { Env } from "../env.ts";
import { demand } from "../http/auth.ts";
import type { Actor } from "../http/context.ts";
import {
  allMetrics,
  EVENTS_TOTAL,
  INTAKE_SECONDS,
  LATENCY_BUCKETS_S,
  REFUSED_TOTAL,
} from "../ingest/intake-counters.ts";
import { lookAtQueue } from "../ingest/overflow.ts";
import { TEACHER_ANSWERS_TOTAL, TEACHER_OUTCOMES } from "../ingest/teacher.ts";
import type { MetricRow } from "../store/metrics.ts";
import { countByState } from "../store/review.ts";
import { addUp, type Family, labelText, prometheusText } from "./prometheus.ts";

/** What the installation counts and measures, for Prometheus: counters since the beginning, and how things stand now. */
export async function getMetrics(
  env: Pick<Env, "DB" | "BLOBS" | "INTAKE">,
  actor: Actor,
  nowMs: number,
): Promise<string> {
  demand(actor, "observe", "operate");
  const [counters, states, queue] = await Promise.all([allMetrics(env), countByState(env.DB), lookAtQueue(env)]);
  const heldBy = new Map(states.held.map(({ reason, n }) => [reason, n]));
  const ageMs = queue.oldestMs === null ? 0 : Math.max(0, nowMs - queue.oldestMs);
  return prometheusText([
    ...intakeFamilies(counters),
    gauge("nearmiss_intake_queue_blobs", "Requests that wait in the blob store for the database, up to 1000.", [
      { labels: {}, value: queue.blobs },
    ]),
    gauge("nearmiss_intake_queue_age_seconds", "Age of the oldest of them.", [{ labels: {}, value: ageMs / 1_000 }]),
    gauge("nearmiss_failures_waiting", "Events without a right answer.", [{ labels: {}, value: states.waiting }]),
    gauge(
      "nearmiss_failures_held",
      "Events that are kept aside, by reason.",
      HOLD_REASONS.map((reason) => ({ labels: { reason }, value: heldBy.get(reason) ?? 0 })),
    ),
  ]);
}

/** Codes that the intake refuses requests with. */
const REFUSALS: readonly ErrorCode[] = ["bad_request", "too_large", "rate_limited", "overloaded"];

/** What the intake counts; what never happened is told as zero, so that a rate can be taken of its first time. */
export function intakeFamilies(counters: readonly MetricRow[]): Family[] {
  const zero = (name: string, labels: Record<string, string>) => ({ name, labels: labelText(labels), value: 0 });
  const events = EVENT_STATUSES.map((status) => zero(EVENTS_TOTAL, { status }));
  const refused = REFUSALS.map((code) => zero(REFUSED_TOTAL, { code }));
  const seconds = [
    ...[...LATENCY_BUCKETS_S, "+Inf"].map((bound) => zero(`${INTAKE_SECONDS}_bucket`, { le: String(bound) })),
    zero(`${INTAKE_SECONDS}_sum`, {}),
    zero(`${INTAKE_SECONDS}_count`, {}),
  ];
  const taught = TEACHER_OUTCOMES.map((outcome) => zero(TEACHER_ANSWERS_TOTAL, { outcome }));
  const rows = addUp(events, refused, seconds, taught, counters);
  const of = (name: string) => rows.filter((row) => row.name === name || row.name.startsWith(`${name}_`));
  return [
    { name: EVENTS_TOTAL, help: "Events by what was answered.", type: "counter", samples: of(EVENTS_TOTAL) },
    {
      name: REFUSED_TOTAL,
      help: "Requests with events that were refused as a whole, by code.",
      type: "counter",
      samples: of(REFUSED_TOTAL),
    },
    {
      name: INTAKE_SECONDS,
      help: "Seconds from the arrival of events to their acknowledgement.",
      type: "histogram",
      samples: of(INTAKE_SECONDS),
    },
    {
      name: TEACHER_ANSWERS_TOTAL,
      help: "Events that the teacher model was asked about, by what came of it.",
      type: "counter",
      samples: of(TEACHER_ANSWERS_TOTAL),
    },
  ];
}

function gauge(
  name: string,
  help: string,
  samples: readonly { labels: Readonly<Record<string, string>>; value: number }[],
): Family {
  return {
    name,
    help,
    type: "gauge",
    samples: samples.map(({ labels, value }) => ({ name, labels: labelText(labels), value })),
  };
}
