import type { Random } from "./random.ts";
import type { Order, Outcome, Reports, Size, World } from "./world.ts";

/** Decides what is edited. It sees reports and outcomes, never the world (but for the oracle). */
export interface Policy {
  plan(reports: Reports): readonly Order[];
  learn(outcomes: readonly Outcome[]): void;
  /** Accuracy that it expected where its last plan ordered pairs; undefined for those that expect nothing. */
  readonly expected?: readonly {
    readonly region: number;
    readonly level: number;
    readonly predicted: number;
    readonly pairs: number;
  }[];
}

/** A policy by name. Random numbers of its own keep the world's the same. */
export interface PolicyKind {
  readonly name: string;
  create(size: Size, random: Random, world: World): Policy;
}
