import type { PolicyDocument } from "../../shared/contracts/policy.ts";
import { seeded } from "../../shared/edits/random.ts";
import { difficultiesOf, levelOf, readAbilities, sigmoid } from "../../shared/hardness/ability.ts";
import { readRoundWatch } from "../../shared/hardness/alarms.ts";
import { afterScorings, boundRechecks, type Judgement, type PairLife } from "../../shared/hardness/life.ts";
import type { Difficulties } from "../../shared/hardness/state.ts";
import { afterRound, type Measured, type PairScore } from "../../shared/hardness/statistics.ts";
import { LEVELS, type Level } from "../../shared/taxonomy/taxonomy.ts";
import {
  Dice,
  gapOf,
  type Kind,
  newPair,
  newRegion,
  promote,
  type TruePair,
  type TrueRegion,
  type World,
} from "./world.ts";

const REGIONS = 12;
const ROUNDS = 8;
/** Pairs come in the first rounds, so many a region and round. */
const ARRIVALS = { rounds: 4, pairs: 60 } as const;
/** Part of the pairs that are ordered one level below the one that is aimed at. */
const BELOW = 0.2;
const PROMOTED = 0.75;
/** How often the second judge finds a pair wrong. */
const REFUSED: Readonly<Record<Kind, number>> = { clean: 0.05, flip: 0.75, null: 0.4 };

interface Pair {
  readonly truth: TruePair;
  life: PairLife;
  scoredAt: number;
  doubted: boolean;
}

type Belief = Measured & { readonly task: string };

/** A pair when the last round is over: what it is, what became of it, and its gap under the last model. */
export interface EndedPair {
  readonly kind: Kind;
  readonly state: PairLife["state"];
  readonly doubted: boolean;
  readonly gap: number;
}

/** Eight rounds in one world. All that is decided of pairs is decided by the code that decides it in the Worker. */
export function simulate(world: World, seed: number, policy: PolicyDocument): EndedPair[] {
  return new Deployment(world, new Dice(seeded(seed)), policy).run();
}

class Deployment {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #policy: PolicyDocument;
  readonly #regions: TrueRegion[];
  readonly #pairs: Pair[] = [];
  #beliefs: Belief[];
  #difficulties: Difficulties = {};
  #model = 0;

  constructor(world: World, dice: Dice, policy: PolicyDocument) {
    this.#world = world;
    this.#dice = dice;
    this.#policy = policy;
    this.#regions = Array.from({ length: REGIONS }, () => newRegion(world, dice));
    this.#beliefs = this.#regions.map((_, index) => newBelief(index));
  }

  run(): EndedPair[] {
    for (let round = 1; round <= ROUNDS; round++) {
      if (round <= ARRIVALS.rounds) this.#arrive();
      this.#round(round);
    }
    return this.#pairs.map(({ truth, life, doubted }) => ({
      kind: truth.kind,
      state: life.state,
      doubted,
      gap: this.#gap(truth),
    }));
  }

  #gap(truth: TruePair): number {
    return gapOf(truth, this.#regions[truth.region] as TrueRegion);
  }

  #arrive(): void {
    for (let region = 0; region < REGIONS; region++) {
      const predicted = this.#predicted(region);
      const aimed = LEVELS.reduce((best, level) =>
        Math.abs(levelOf(predicted, level) - this.#world.aim) < Math.abs(levelOf(predicted, best) - this.#world.aim)
          ? level
          : best,
      );
      for (let n = 0; n < ARRIVALS.pairs; n++) {
        const level = (this.#dice.below(BELOW) ? Math.max(1, aimed - 1) : aimed) as Level;
        const id = String(this.#pairs.length).padStart(6, "0");
        this.#pairs.push({
          truth: newPair(id, region, level, this.#world, this.#dice),
          life: UNSCORED,
          scoredAt: 0,
          doubted: false,
        });
      }
    }
  }

  /** Predicted accuracy per level. */
  #predicted(region: number): [number, number, number, number] {
    const { mean } = readAbilities(this.#beliefs)[region] ?? { mean: 0 };
    const levels = difficultiesOf(this.#difficulties, (this.#beliefs[region] as Belief).errorType);
    return levels.map((difficulty) => sigmoid(mean - difficulty)) as [number, number, number, number];
  }

  #round(round: number): void {
    const scored = this.#batch();
    const reference = nameOf(this.#model);
    const before = scored.map(({ truth }) => this.#gap(truth));
    const fresh = scored.map(({ life }) => life.trainings === 0 && life.gapModel !== reference);
    if (this.#dice.below(PROMOTED)) this.#train(scored);
    const model = nameOf(this.#model);
    const after = scored.map(({ truth }) => this.#gap(truth));
    this.#learn(scored.map(({ truth }, i) => scoreOf(truth, fresh[i] ?? false, before[i] ?? 0, after[i] ?? 0)));
    const predicted = this.#regions.map((_, region) => this.#predicted(region));
    const judged = scored.map(({ truth, life }, i): Judgement & { readonly id: string } => {
      // The second one is left out where the model is the same: a round that was not promoted.
      const scorings = [
        { model: reference, gap: before[i] ?? 0 },
        { model, gap: after[i] ?? 0 },
      ];
      const { gapMean, gapSquare } = this.#beliefs[truth.region] as Belief;
      const region = { gapMean, gapSquare, predicted: levelOf(predicted[truth.region] ?? EVEN, truth.level) };
      return { ...afterScorings(life, scorings, region, this.#policy), id: truth.id };
    });
    for (const [i, { pair: life }] of boundRechecks(judged, this.#policy.pairs).entries()) {
      const pair = scored[i] as Pair;
      pair.life = life;
      pair.scoredAt = round;
      if (life.state === "quarantined") this.#recheck(pair);
    }
  }

  /** A promoted round: mastered pairs, and those trained as often as they may be, are only scored. */
  #train(scored: readonly Pair[]): void {
    const { maxTrainings } = this.#policy.training;
    const trained = scored.filter(({ life }) => life.state !== "saturated" && life.trainings < maxTrainings);
    const truths = this.#pairs.map(({ truth }) => truth);
    promote(truths, new Set(trained.map(({ truth }) => truth)), this.#regions, this.#world, this.#dice);
    for (const pair of trained) pair.life = { ...pair.life, trainings: pair.life.trainings + 1 };
    this.#model++;
  }

  /** The pairs that a round scores. */
  #batch(): Pair[] {
    const open = this.#pairs.filter(({ life }) => life.state === "ready" || life.state === "trained");
    const mastered = this.#pairs.filter(({ life }) => life.state === "saturated");
    const { againShare, rescoreShare } = this.#policy.batch;
    const oldest = mastered.sort((a, b) => a.scoredAt - b.scoredAt).slice(0, Math.ceil(rescoreShare * mastered.length));
    if (this.#world.scored === "all") return [...open, ...oldest];
    const ready = open.filter(({ life }) => life.state === "ready");
    const again = open
      .filter(({ life }) => life.state === "trained" && life.trainings < this.#policy.training.maxTrainings)
      .sort((a, b) => a.scoredAt - b.scoredAt)
      .slice(0, Math.ceil((againShare * Math.max(ready.length, ARRIVALS.pairs * REGIONS)) / (1 - againShare)));
    return [...ready, ...again, ...oldest];
  }

  #learn(scores: readonly PairScore[]): void {
    const { regions, difficulties } = afterRound(this.#beliefs, this.#difficulties, scores, this.#policy);
    this.#beliefs = this.#beliefs.map((belief, index) => ({ ...belief, ...regions[index] }));
    this.#difficulties = difficulties;
  }

  #recheck(pair: Pair): void {
    pair.doubted = true;
    const { life } = pair;
    if (this.#dice.below(REFUSED[pair.truth.kind])) pair.life = { ...life, state: "rejected" };
    else pair.life = { ...life, state: life.trainings > 0 ? "trained" : "ready", lowStreak: 0, cleared: true };
  }
}

const UNSCORED: PairLife = {
  state: "ready",
  trainings: 0,
  highStreak: 0,
  lowStreak: 0,
  gap: null,
  gapModel: null,
  cleared: false,
};
const EVEN = [0.5, 0.5, 0.5, 0.5] as const;

/** Keys sort as the regions are numbered. */
function keyOf(region: number): string {
  return `region/${String(region).padStart(2, "0")}/en/image`;
}

function nameOf(model: number): string {
  return model === 0 ? "base" : `adapter ${model}`;
}

function newBelief(region: number): Belief {
  const untried = { attempted: 0, refused: 0 };
  return {
    key: keyOf(region),
    task: `task ${region % 4}`,
    errorType: `error ${region % 3}`,
    abilityMean: 0,
    abilityVar: 1,
    chosenLogRatio: 0,
    scored: 0,
    levels: [untried, untried, untried, untried],
    stairLevel: 2,
    offered: LEVELS,
    gapMean: 0,
    gapSquare: 0,
    roundWatch: readRoundWatch("{}"),
  };
}

/** Answers of one length, so that the gap of sums and that of means have one sign. */
function scoreOf({ region, level }: TruePair, fresh: boolean, before: number, after: number): PairScore {
  const rejected = { rejectedBefore: -10, rejectedAfter: -10 };
  const tokens = { chosenTokens: 8, rejectedTokens: 8 };
  return {
    region: keyOf(region),
    level,
    fresh,
    chosenBefore: before - 10,
    chosenAfter: after - 10,
    ...rejected,
    ...tokens,
  };
}
